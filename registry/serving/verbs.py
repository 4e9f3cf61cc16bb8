"""Deploying: saying that a version, or whichever version has a name, shall be loaded and answer."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from common.access import User
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.push import publish
from engine.serving.orders import MAX_REPLICAS
from registry.access import Action, models_for, require
from registry.models import Deployment, Model, ModelVersion
from registry.models.aliases import Name
from registry.prediction import recipe_of
from registry.versions import hold


@transaction.atomic
def deploy(
    model: Model,
    by: AbstractBaseUser | None,
    *,
    version: ModelVersion | None = None,
    alias: str = "",
    replicas: int = 1,
) -> Deployment:
    """Keep a version, or whichever has the name `alias`, loaded in so many replicas; asked again it changes their
    number. `by` None: a policy of the hub did it.

    InvalidInputError for neither or both, or too many replicas; ConflictError for a version that can't answer;
    ForbiddenError.
    """
    if by is not None:
        require(by, Action.DEPLOY, model)
    _check(model, version, alias, replicas)
    Model.objects.select_for_update(no_key=True).get(pk=model.pk)  # one deployment of each, however often it is asked
    if version is not None:
        hold(version)  # it is neither deleted nor archived from here on
    known = Deployment.objects.filter(model=model, version=version, alias=alias, ended_at=None).first()
    if known and known.replicas == replicas:
        return known
    if known:
        known.replicas = replicas
        known.save(update_fields=["replicas"])
    else:
        made_by = by or model.owner
        known = Deployment.objects.create(
            model=model, version=version, alias=alias, replicas=replicas, created_by=made_by
        )
    audit.write(by, "deployed", version or model, deployment=known.pk, alias=alias, replicas=replicas)
    publish(f"model.{model.pk}")
    return known


@transaction.atomic
def undeploy(deployment: Deployment, by: AbstractBaseUser | None) -> Deployment:
    """End a deployment: it is loaded no longer than it is asked for. Twice is once."""
    model = deployment.model
    if by is not None:
        require(by, Action.DEPLOY, model)
    now = timezone.now()
    if Deployment.objects.filter(pk=deployment.pk, ended_at=None).update(ended_at=now):
        deployment.ended_at = now
        about = deployment.version or model
        audit.write(by, "undeployed", about, deployment=deployment.pk, alias=deployment.alias)
        publish(f"model.{model.pk}")
    return deployment


def deployments_for(user: User) -> QuerySet[Deployment]:
    """The deployments of models that somebody may see, those in force."""
    rows = Deployment.objects.select_related("model__owner", "version__model", "created_by")
    rows = rows.defer("model__owner__password", "created_by__password")
    return rows.filter(ended_at=None, model__in=models_for(user).order_by().values("pk"))


def get_deployment(user: User, pk: int) -> Deployment:
    """The deployment, if it is in force and exists for this person; else NotFoundError."""
    found = deployments_for(user).filter(pk=pk).first()
    if found is None:
        raise NotFoundError("There is no such deployment for you.", "It may have ended. See GET deployments.")
    return found


def _check(model: Model, version: ModelVersion | None, alias: str, replicas: int) -> None:
    if (version is None) == (not alias):
        raise InvalidInputError("Deploy a version, or a name of the model.", f"Names are {', '.join(Name.values)}.")
    if alias and alias not in Name.values:
        message = f"A name of a model is {' or '.join(Name.values)}."
        raise InvalidInputError(message, "Choose one of them.", fields={"alias": [message]})
    if not 1 <= replicas <= MAX_REPLICAS:
        message = f"There can be 1 to {MAX_REPLICAS} replicas."
        raise InvalidInputError(message, "Each holds the whole model.", fields={"replicas": [message]})
    if version is None:
        return
    if version.model_id != model.pk:
        raise InvalidInputError(f"{version} is no version of {model}.", "Choose one of its versions.")
    recipe_of(version)
    if version.archived_at or version.damaged_at:
        what = "archived" if version.archived_at else "damaged"
        raise ConflictError(f"{version} is {what} and can't be deployed.", "Choose another version.")
