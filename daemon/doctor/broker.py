"""NATS, as a daemon that started now would find it."""

from config.settings import Keep, Nats
from daemon.bus.looking import look
from daemon.bus.streams import KEPT_AS_MADE
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.errors import Forbidden, InvalidInput, VerdictdError

_WHERE = "nats"


async def examine(settings: Nats, *, keep: Keep = KEPT_AS_MADE) -> list[Diagnosis]:
    """Whether it lets us in, and how our streams are there. Nothing is made: that is the daemon's to do."""
    if settings.url == "embedded":
        return [Diagnosis(code=Code.BROKER, where=_WHERE, found=f"embedded: it starts with the daemon, in {settings.data_dir}")]
    try:
        streams = await look(settings, name="verdictd-doctor", keep=keep)
    except Forbidden as error:
        fix = "set nats.credentials_file or nats.token_file to what this server takes"
        return [Diagnosis(code=Code.BROKER_FORBIDDEN, where=_WHERE, found=str(error), fix=fix)]
    except InvalidInput as error:
        return [Diagnosis(code=Code.BROKER_UNREACHABLE, where=error.path, found=error.message, fix=error.fix)]
    except VerdictdError as error:
        fix = "set nats.url to a server that runs with JetStream (nats-server -js)"
        return [Diagnosis(code=Code.BROKER_UNREACHABLE, where=_WHERE, found=str(error), fix=fix)]
    unlike = sorted(name for name, state in streams.items() if state == "unlike")
    found = []
    if unlike:
        fix = "the daemon mends it at its start if it may; else delete it there (nats stream rm NAME), or use another account"
        said = f"{', '.join(unlike)}: not what verdictd needs (subjects, retention, storage, replicas, or what keep says)"
        found.append(Diagnosis(code=Code.STREAM_UNFIT, where=_WHERE, found=said, fix=fix))
    missing = sorted(name for name, state in streams.items() if state == "missing")
    said = "all streams are there" if not missing else f"the daemon will make {len(missing)} streams and buckets"
    return [*found, Diagnosis(code=Code.BROKER, where=_WHERE, found=f"it answers, with JetStream; {said}", more=tuple(missing))]
