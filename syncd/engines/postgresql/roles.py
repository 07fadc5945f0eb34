"""The roles of a server: their attributes, who is a member of whom, what is theirs server-wide."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from syncd.engines.postgresql.connection import Session
from syncd.model.privilege import MEMBER, Privilege

PUBLIC: Final = 0
"""The grantee that stands for everybody (aclexplode)."""
FIRST_NORMAL: Final = 16384
"""The first object identifier that initdb does not give away (access/transam.h)."""
BOOTSTRAP: Final = 10
"""The superuser that initdb makes (pg_authid.dat)."""

# The value of a setting that is none of the server's, nor of an extension that it has loaded, is an
# application's, and may be a secret: `pgrst.jwt_secret`, which its manual has set by ALTER ROLE.
_ROLES: Final = """
    with known as materialized (select lower(name) as name from pg_settings)
    select oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
           rolcanlogin, rolinherit, rolconnlimit,
           to_json(rolvaliduntil) #>> '{}', coalesce(rolvaliduntil <= now(), false),
           array(select case when lower(split_part(setting, '=', 1)) in (select name from known)
                             then setting else split_part(setting, '=', 1) || '=******' end
                 from unnest(rolconfig) setting)
    from pg_roles
"""
_MEMBERS: Final = """
    select roleid, member, bool_or(admin_option) from pg_auth_members group by roleid, member
"""
_MEMBERS_16: Final = """
    select roleid, member, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option)
    from pg_auth_members group by roleid, member
"""
_SHARED: Final = """
    select 'database', datname::text, a.grantee, a.privilege_type, bool_or(a.is_grantable)
    from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a group by 1, 2, 3, 4
    union all
    select 'database', datname, datdba, 'OWNER', false from pg_database
    union all
    select 'tablespace', spcname, a.grantee, a.privilege_type, bool_or(a.is_grantable)
    from pg_tablespace, aclexplode(coalesce(spcacl, acldefault('t', spcowner))) a
    group by 1, 2, 3, 4
    union all
    select 'tablespace', spcname, spcowner, 'OWNER', false from pg_tablespace
"""
_PARAMETERS_15: Final = """
    union all
    select 'parameter', parname, a.grantee, a.privilege_type, bool_or(a.is_grantable)
    from pg_parameter_acl, aclexplode(paracl) a group by 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class Role:
    """A role as pg_roles shows it; `valid_until` is ISO 8601, or `infinity`."""

    oid: int
    name: str
    superuser: bool
    createrole: bool
    createdb: bool
    replication: bool
    bypassrls: bool
    login: bool
    inherit: bool
    connection_limit: int
    valid_until: str | None
    expired: bool
    settings: list[str]


def read_roles(connection: Session) -> dict[int, Role]:
    """Return all roles by their object identifier."""
    rows = connection.execute(_ROLES).fetchall()
    return {row[0]: Role(*row) for row in rows}


def read_memberships(
    connection: Session, roles: Mapping[int, Role]
) -> Iterator[tuple[int, int, Privilege]]:
    """Yield who is a member of what, directly: the member, the role, and the privilege."""
    query = _MEMBERS if connection.version < 16 else _MEMBERS_16
    for role, member, admin, *flags in connection.execute(query):
        options = tuple(name for name, flag in zip(("inherit", "set"), flags, strict=False) if flag)
        if role in roles and member in roles:
            yield member, role, Privilege("role", (roles[role].name,), MEMBER, admin, options)


def read_shared(connection: Session) -> Iterator[tuple[int, Privilege]]:
    """Yield the privileges on databases, tablespaces and parameters, each with its grantee."""
    query = _SHARED if connection.version < 15 else _SHARED + _PARAMETERS_15
    for on, name, grantee, privilege, grantable in connection.execute(query):
        yield grantee, Privilege(on, (name,), privilege, grantable)


def effective(direct: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Return the roles that each is a member of, directly or through others."""
    found: dict[int, set[int]] = defaultdict(set)
    for member in direct:
        waiting = list(direct[member])
        while waiting:
            role = waiting.pop()
            if role not in found[member]:
                found[member].add(role)
                waiting += direct.get(role, ())
    return found


def attributes(role: Role, member_of: list[str]) -> dict[str, Any]:
    """Return the attributes of a role as the records hold them."""
    settings = dict(setting.split("=", 1) for setting in role.settings)
    return {
        "superuser": role.superuser,
        "createrole": role.createrole,
        "createdb": role.createdb,
        "replication": role.replication,
        "bypassrls": role.bypassrls,
        "login": role.login,
        "inherit": role.inherit,
        "connection_limit": role.connection_limit,
        "valid_until": role.valid_until,
        "settings": settings,
        "effective_roles": member_of,
    }


def locked(role: Role) -> bool:
    """Tell whether no connection is granted to a role, a superuser is never (InitPostgres)."""
    return role.connection_limit == 0 and not role.superuser


def capabilities(role: Role, privileges: list[Privilege]) -> tuple[str, ...]:
    """Return what a role can do, in the words of all engines.

    A superuser can do all of it. `grant` has who holds a grant or admin option; owners and roles
    with CREATEROLE are not called so for that alone. The first superuser is no system account:
    people log in as it. The words of locked and expired ones are for those that could log in.
    """
    words = {
        "superuser": role.superuser,
        "create_user": role.createrole or role.superuser,
        "create_database": role.createdb or role.superuser,
        "replication": role.replication or role.superuser,
        "bypass_rls": role.bypassrls or role.superuser,
        "grant": role.superuser or any(privilege.grantable for privilege in privileges),
        "locked": role.login and locked(role),
        "password_expired": role.login and role.expired,
        "system": role.oid < FIRST_NORMAL and role.oid != BOOTSTRAP,
    }
    return tuple(sorted(word for word, has in words.items() if has))
