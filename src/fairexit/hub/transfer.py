"""Upload to and download from the Hugging Face Hub, with its errors as one line. Loads no code."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairexit.errors import UserError, reason, short
from fairexit.extras import require

_PART = re.compile(r"(?![-.])[A-Za-z0-9._-]{1,96}(?<![-.])", re.ASCII)
STATUS = {
    401: "the Hub does not know the token; log in again with `hf auth login`",
    403: "the token may not do this; choose a repository of your own, or a token that may write",
    404: "there is no such model, or the token may not see it",
    409: "the repository exists already with other properties; choose another name",
    429: "the Hub has had too many requests; try again later",
}


def check_repository(repo_id: str) -> None:
    """Raise a UserError unless this has the form of a repository's name, `user/model`."""
    parts = repo_id.split("/")
    is_name = all(map(_PART.fullmatch, parts)) and not re.search(r"--|\.\.|\.git$", repo_id)
    if len(parts) != 2 or not is_name:
        raise UserError(
            f"'{short(repo_id)}' is not the name of a repository on the Hub; name it as in "
            "user/model"
        )


def check_upload(repo_id: str, token: str | None) -> None:
    """Raise a UserError if an upload must fail: a bad name, or no token."""
    check_repository(repo_id)
    require("hub", "a model on the Hub")
    from huggingface_hub import get_token

    if token is None and get_token() is None:
        raise UserError(
            "there is no token for the Hub; log in with `hf auth login`, or set the environment "
            "variable HF_TOKEN"
        )


def upload(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None,
    commit_message: str,
    token: str | None,
) -> str:
    """Upload a folder as one commit, into a new repository or one that exists.

    Args:
        folder: the files.
        repo_id: the repository, `user/model`.
        private: whether a new repository is private; None for the account's default.
        commit_message: the first line of the commit's message.
        token: an access token; None for the stored one.
    Returns:
        The address of the repository.
    Raises:
        UserError: the Hub cannot be reached or refuses, or the repository is to be private but
            exists and is public.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="fairexit")
    with _errors(f"{repo_id} cannot be pushed"):
        repository = api.create_repo(repo_id, private=private, exist_ok=True)
        is_public = private and not api.model_info(repository.repo_id).private
    if is_public:
        raise UserError(
            f"{repo_id} exists already and is public; make it private on its page, or choose "
            "another name"
        )
    with _errors(f"{repo_id} cannot be pushed"):
        api.upload_folder(
            repo_id=repository.repo_id, folder_path=folder, commit_message=commit_message
        )
    return str(repository)


def download(repo_id: str, files: Sequence[str], **how: Any) -> Path:
    """Download certain files of a repository; all others are ignored.

    Args:
        repo_id: the repository, `user/model`.
        files: names of the files, of which those that exist are downloaded.
        how: `revision`, `token`, `cache_dir`, `force_download` and `local_files_only` of
            `huggingface_hub.snapshot_download`.
    Returns:
        The folder of the files in the cache.
    Raises:
        UserError: the name is malformed, there is no such repository or revision, or the Hub
            cannot be reached and the cache does not have the files.
    """
    check_repository(repo_id)
    require("hub", "a model on the Hub")
    from huggingface_hub import snapshot_download

    with _errors(f"there is no folder {repo_id}, and the Hub's {repo_id} cannot be loaded"):
        return Path(
            snapshot_download(repo_id, allow_patterns=list(files), library_name="fairexit", **how)
        )


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub and of its HTTP client into a UserError.

    Args:
        what: the beginning of the message.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{what}: its authors grant access; ask for it on its page, and log in with "
            "`hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{what}: it has no such revision") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        text = STATUS.get(status, f"the Hub answers with status {status}; try again later")
        raise UserError(f"{what}: {text}") from None
    except errors.LocalEntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            status = cause.response.status_code
            raise UserError(f"{what}: {STATUS.get(status, f'status {status}')}") from None
        raise UserError(
            f"{what}: the Hub cannot be reached, and the cache does not have the model"
        ) from None
    except Exception as error:  # the HTTP client differs between versions of huggingface_hub
        raise UserError(
            f"{what}: {short(reason(error), 200)}; check the connection to the Hub"
        ) from None
