"""Changing one's own password."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts import signin
from common.errors import InvalidInputError


def change(request: HttpRequest, present: str, new: str) -> AbstractBaseUser:
    """Set a new password for who sends the request; every session and token of theirs ends with the old one.

    The present one is asked with the same brake as signing in (429 after nine wrong ones). InvalidInputError
    says which of the two was at fault.
    """
    try:
        user = signin.sign_in(request, request.user.get_username(), present)
    except signin.WrongPasswordError:
        reason = "This is not your present password."
        raise InvalidInputError(reason, "Type the password you signed in with.", fields={"present": [reason]}) from None
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise InvalidInputError(error.messages[0], "Choose another one.", fields={"new": error.messages}) from None
    user.set_password(new)
    user.save(update_fields=["password"])
    return user
