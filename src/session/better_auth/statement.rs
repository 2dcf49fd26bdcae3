//! The statement that finds a session, made for the tables that there are.

use super::BetterAuthError;

/// How the names of tables and columns are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Naming {
    pub(super) plural: bool,
    pub(super) snake_case: bool,
}

impl Naming {
    fn table(self, name: &str) -> String {
        format!("{name}{}", if self.plural { "s" } else { "" })
    }

    fn column(self, name: &str) -> String {
        if !self.snake_case {
            return name.to_owned();
        }
        let snake = |letter: char| {
            let underscore = letter.is_ascii_uppercase().then_some('_');
            underscore.into_iter().chain([letter.to_ascii_lowercase()])
        };
        name.chars().flat_map(snake).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// The tables that a session is found in, and which columns they have.
pub(super) struct Tables {
    dialect: Dialect,
    naming: Naming,
    session: Table,
    user: Table,
    member: Table,
    organization: Table,
}

pub(super) struct Table {
    name: String,
    columns: Vec<String>,
}

impl Table {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn found(&mut self, columns: Vec<String>) {
        self.columns = columns;
    }
}

/// What is read of each table: what it always has, and what a plugin adds.
const SESSION: (&[&str], &[&str]) =
    (&["id", "userId", "expiresAt"], &["activeOrganizationId", "activeTeamId", "impersonatedBy"]);
const USER: (&[&str], &[&str]) = (&["id", "name", "email"], &["emailVerified", "image", "role"]);
const MEMBER: &[&str] = &["organizationId", "userId", "role"];

impl Tables {
    pub(super) fn new(dialect: Dialect, naming: Naming) -> Self {
        let table = |name| Table { name: naming.table(name), columns: Vec::new() };
        let (member, organization) = (table("member"), table("organization"));
        Self { dialect, naming, session: table("session"), user: table("user"), member, organization }
    }

    pub(super) fn each(&mut self) -> [&mut Table; 4] {
        [&mut self.session, &mut self.user, &mut self.member, &mut self.organization]
    }

    /// One statement with one parameter, the token, and one column: a document in JSON.
    ///
    /// # Errors
    /// When a column is missing that every database of Better Auth's has.
    pub(super) fn statement(&self) -> Result<String, BetterAuthError> {
        self.needs(&self.session, "token")?;
        let session = self.object("s", &self.session, SESSION)?;
        let user = self.object("u", &self.user, USER)?;
        let members = self.members();
        let document = self.call("object", &format!("'session', {session}, 'user', {user}{members}"));
        Ok(format!(
            "SELECT CAST({document} AS TEXT) FROM \"{}\" AS s JOIN \"{}\" AS u ON u.\"id\" = s.{} WHERE s.\"token\" = $1",
            self.session.name,
            self.user.name,
            self.quoted("userId"),
        ))
    }

    fn object(
        &self,
        alias: &str,
        table: &Table,
        (always, added): (&[&str], &[&str]),
    ) -> Result<String, BetterAuthError> {
        for name in always {
            self.needs(table, name)?;
        }
        let present = always.iter().chain(added.iter().filter(|name| self.has(table, name)));
        let members: Vec<String> = present.map(|name| format!("'{name}', {}", self.value(alias, name))).collect();
        Ok(self.call("object", &members.join(", ")))
    }

    /// A point in time in milliseconds where it is one to the database, whichever time zone that is set to.
    fn value(&self, alias: &str, name: &str) -> String {
        let column = format!("{alias}.{}", self.quoted(name));
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres if name == "expiresAt" => format!("CAST(EXTRACT(EPOCH FROM {column}) * 1000 AS BIGINT)"),
            _ => column,
        }
    }

    fn members(&self) -> String {
        if !MEMBER.iter().all(|name| self.has(&self.member, name)) {
            return String::new();
        }
        let of = |name| format!("m.{}", self.quoted(name));
        let (id, role) = (of("organizationId"), of("role"));
        let named = ["id", "name"].iter().all(|name| self.has(&self.organization, name));
        let organization = &self.organization.name;
        let name = format!(", (SELECT o.\"name\" FROM \"{organization}\" AS o WHERE o.\"id\" = {id})");
        let pair = self.call("array", &format!("{id}, {role}{}", if named { &name } else { "" }));
        let all = match self.dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => format!("json_group_array({pair})"),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("json_agg({pair})"),
        };
        let (table, user, signed_in) = (&self.member.name, of("userId"), self.quoted("userId"));
        format!(", 'members', (SELECT {all} FROM \"{table}\" AS m WHERE {user} = s.{signed_in})")
    }

    /// A function that makes JSON.
    fn call(&self, kind: &str, arguments: &str) -> String {
        match self.dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => format!("json_{kind}({arguments})"),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("json_build_{kind}({arguments})"),
        }
    }

    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", self.naming.column(name))
    }

    fn has(&self, table: &Table, name: &str) -> bool {
        let name = self.naming.column(name);
        table.columns.contains(&name)
    }

    fn needs(&self, table: &Table, name: &str) -> Result<(), BetterAuthError> {
        if self.has(table, name) {
            return Ok(());
        }
        Err(BetterAuthError::NoColumn { table: table.name.clone(), column: self.naming.column(name) })
    }
}
