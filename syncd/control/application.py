"""The WSGI application of a listener: a table of paths, answers and errors as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from syncd.context import BoundLogger
from syncd.control.routes import Offer, View, as_json
from syncd.control.wire import error_answer, error_document
from syncd.errors import SyncdError

BODY_LIMIT: Final = 1024 * 1024

_WORDS: Final = {400: "bad_request", 404: "not_found"}


class Application:
    """Answers the requests of one listener."""

    def __init__(self, offer: Offer, views: Mapping[str, View], log: BoundLogger) -> None:
        self._offer, self._views, self._log = offer, views, log
        rules = []
        for name in views:
            method, _, path = name.partition(" ")
            rules.append(Rule(path, endpoint=name, methods=[method]))
        self._map = Map(rules, strict_slashes=False, merge_slashes=False)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request = Request(environ)
        request.max_content_length = BODY_LIMIT
        return self._answer(request)(environ, start)

    def _answer(self, request: Request) -> Response:
        """Return the answer, whatever happens."""
        try:
            name, values = self._map.bind_to_environ(request.environ).match()
            found = self._views[name](self._offer, request, **values)
        except RequestRedirect:
            return as_json(error_document("not_found", f"no path {request.path!r}"), 404)
        except HTTPException as error:
            return _refusal(request, error)
        except SyncdError as error:
            status, document = error_answer(error)
            return as_json(document, status)
        except Exception as error:  # noqa: BLE001 - a bug in one answer is that answer's alone
            self._log.exception("a request failed", method=request.method, path=request.path)
            message = f"internal error ({type(error).__name__}): the daemon's log tells more"
            return as_json(error_document("internal", message), 500)
        return found if isinstance(found, Response) else as_json(found)


def _refusal(request: Request, error: HTTPException) -> Response:
    """Return the answer to a request that no view took."""
    status = error.code or 500
    message: Any = error.description
    headers = {}
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message, headers = (
            f"{request.method} is not allowed here, but {allowed}",
            {"Allow": allowed},
        )
    elif status == 404:
        message = f"no path {request.path!r}"
    answer = as_json(error_document(_WORDS.get(status, "bad_request"), str(message)), status)
    answer.headers.update(headers)
    return answer
