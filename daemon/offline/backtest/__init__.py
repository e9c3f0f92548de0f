"""Past releases judged as they would have been: which they were, what each policy would have done, and what that is worth.

The samples come as recordings, whoever made them, so that the judging is replay's, and ``replay`` and ``explain`` work on them too.
"""
