"""The kinds of objects that Istio adds to the API server, as far as they are read or written here."""

from daemon.kube.resources import Resource

_GROUP, _VERSION = "networking.istio.io", "v1"

VIRTUAL_SERVICES = Resource(group=_GROUP, version=_VERSION, plural="virtualservices", kind="VirtualService")
DESTINATION_RULES = Resource(group=_GROUP, version=_VERSION, plural="destinationrules", kind="DestinationRule")
WORKLOAD_ENTRIES = Resource(group=_GROUP, version=_VERSION, plural="workloadentries", kind="WorkloadEntry")
SERVICE_ENTRIES = Resource(group=_GROUP, version=_VERSION, plural="serviceentries", kind="ServiceEntry")
