"""What the workbench's lists say where they are empty: what was looked for, what is missing, and the one next step."""

from pathlib import Path

from core.model.role import Problem, Syntax
from core.services.overview import Overview, RoleState, has_packer

NO_FLEETS = (
    "No fleets yet.\n"
    "A fleet is a group of machines launched from one role's images. What it should run, what it runs, and which"
    " machines are behind will show here."
)
NO_ROLE_CHOSEN = "Image versions of the chosen role will show here."


def where(problem: Problem) -> str:
    """`packer/web.pkr.hcl:14`"""
    return f"{problem.path}:{problem.line}" if problem.line else problem.path


def no_roles(overview: Overview, repository: Path | None, trouble: str) -> str:
    """Why there is no role to show; `trouble` is what does not work in the background now."""
    if repository is None:
        return (
            f"No Git repository.\nLooked for .git in {overview.root} and above."
            "\nStart ingot in a repository with Packer templates, or try: ingot demo"
        )
    if trouble and not overview.roles:
        return f"Nothing could be read.\n{trouble}\nF5 tries again; N shows what was said."
    if overview.workspace is None or not overview.read_at:
        return "Looking through the repository…"
    if overview.problems and not overview.roles:
        problem = overview.problems[0]
        return f"No roles.\n{where(problem)}: {problem.reason}\n{problem.fix}"
    return (
        "No Packer templates.\nLooked for *.pkr.hcl, *.pkr.json and JSON files with builders in the whole"
        " repository.\nAdd one, name it in ingot.toml, or see how it looks with: ingot demo"
    )


def no_runs(overview: Overview) -> str:
    """Looks whether Packer is installed, unless Ansible builds everything."""
    needed = not overview.roles or any(view.role.syntax is not Syntax.ANSIBLE for view in overview.roles)
    packer = "" if not needed or has_packer() else "\n! Packer is not installed here: ingot doctor says how to get it."
    return f"No runs yet.\nPress b on a role to start one.{packer}"


def no_images(overview: Overview, role: str) -> str:
    """Why a role has no image version."""
    view = overview.role(role)
    if view is not None and view.role.problems:
        problem = view.role.problems[0]
        fix = f"\n{problem.fix}" if problem.fix else ""
        return f"{role} cannot be built.\n{where(problem)}: {problem.reason}{fix}"
    run = view.run if view is not None else None
    match view.state if view is not None else RoleState.NO_IMAGE:
        case RoleState.BUILDING if run is not None:
            return f"The first image of {role} is being made.\nl shows the log of run {run.id}."
        case RoleState.PAUSED if run is not None:
            return f"The first image of {role} is paused in its making: run {run.id}.\nd leads into the machine."
        case RoleState.QUEUED:
            return f"The first image of {role} is queued.\nIt begins when a build that runs now has ended."
        case RoleState.FAILED if run is not None:
            return f"No images yet: run {run.id} failed.\nl shows its log; b builds {role} again."
        case _:
            return f"No images yet.\nPress b to build the role {role}."
