//! Every text of the page, in one table.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

macro_rules! table {
    ($($name:ident: $english:literal, $german:literal;)*) => {
        /// Every text of the page. `{words}` in braces are filled in by the page, and belong into a translation, too.
        ///
        /// A translation begins with one that there is, in Rust or as a JSON object of the same names. What it leaves out is
        /// English:
        ///
        /// ```
        /// # #[cfg(feature = "dashboard")] {
        /// use tower_api_key::dashboard::Texts;
        ///
        /// let mut texts = Texts::english();
        /// texts.language = "fr".into();
        /// texts.title = "Clés d’API".into();
        ///
        /// let read: Texts = serde_json::from_str(r#"{"language":"fr","title":"Clés d’API"}"#).unwrap();
        /// assert_eq!(read, texts);
        /// # }
        /// ```
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Texts {
            /// The language as BCP 47 names it: `en`. Dates, numbers and lengths of time are written as it has them.
            pub language: Cow<'static, str>,
            $(#[doc = concat!("In English: ", $english)] pub $name: Cow<'static, str>,)*
        }

        impl Texts {
            /// The page in English.
            #[must_use]
            pub const fn english() -> Self {
                Self { language: Cow::Borrowed("en"), $($name: Cow::Borrowed($english),)* }
            }

            /// The page in German.
            #[must_use]
            pub const fn german() -> Self {
                Self { language: Cow::Borrowed("de"), $($name: Cow::Borrowed($german),)* }
            }

            /// Each text by its name.
            fn entries(&self) -> impl Iterator<Item = (&'static str, &str)> {
                [$((stringify!($name), &*self.$name),)*].into_iter()
            }
        }
    };
}

table! {
    // Around everything.
    title: "API keys", "API-Schlüssel";
    lead: "Keys let programs call the API on your behalf. Treat them like passwords.", "Mit Schlüsseln rufen Programme die API in Ihrem Namen auf. Behandeln Sie sie wie Passwörter.";
    skip: "Skip to content", "Zum Inhalt springen";
    views: "Views", "Ansichten";
    organization: "Organization", "Organisation";
    organization_id: "Organization ID", "Organisations-ID";
    no_script: "This page needs JavaScript.", "Diese Seite benötigt JavaScript.";
    copy: "Copy", "Kopieren";
    copied: "Copied", "Kopiert";
    copy_failed: "Selected. Press Ctrl+C or ⌘C to copy.", "Markiert. Mit Strg+C oder ⌘C kopieren.";
    cancel: "Cancel", "Abbrechen";
    close: "Close", "Schließen";
    done: "Done", "Fertig";
    save: "Save", "Speichern";
    all: "All", "Alle";
    none: "None", "Keine";
    never: "Never", "Nie";
    unknown: "Unknown", "Unbekannt";
    loading: "Loading…", "Wird geladen …";
    // The list.
    keys: "Keys", "Schlüssel";
    key: "Key", "Schlüssel";
    owner: "Owner", "Inhaber";
    operator: "Operator", "Betreiber";
    scope: "Scope", "Berechtigung";
    scopes: "Scopes", "Berechtigungen";
    created: "Created", "Erstellt";
    last_used: "Last used", "Zuletzt genutzt";
    expires: "Expires", "Läuft ab";
    state: "State", "Status";
    state_active: "Active", "Aktiv";
    state_disabled: "Disabled", "Deaktiviert";
    state_overlap: "Being replaced", "Wird ersetzt";
    state_expired: "Expired", "Abgelaufen";
    state_revoked: "Revoked", "Widerrufen";
    stops_in: "Stops in {time}", "Endet in {time}";
    search: "Search", "Suche";
    search_hint: "Name, ID or first characters", "Name, ID oder erste Zeichen";
    refresh: "Refresh", "Aktualisieren";
    refreshed: "Up to date", "Aktuell";
    manage: "Manage", "Verwalten";
    manage_key: "Manage {name}", "{name} verwalten";
    shown: "{count} shown", "{count} angezeigt";
    more: "Load more", "Weitere laden";
    no_keys: "No keys yet", "Noch keine Schlüssel";
    no_keys_hint: "Create a key for each program that calls the API, so that each can be replaced on its own.", "Erstellen Sie für jedes Programm, das die API aufruft, einen eigenen Schlüssel: So lässt sich jeder einzeln ersetzen.";
    no_match: "No key matches", "Kein passender Schlüssel";
    no_match_hint: "Try another search, or show all keys.", "Versuchen Sie eine andere Suche oder zeigen Sie alle Schlüssel.";
    show_all: "Show all keys", "Alle Schlüssel zeigen";
    // Making a key.
    create: "Create key", "Schlüssel erstellen";
    create_title: "Create a key", "Schlüssel erstellen";
    name: "Name", "Name";
    name_example: "deploy-production", "deploy-produktion";
    name_hint: "Say which program it is for.", "Wofür ist der Schlüssel?";
    name_wrong: "Enter a name of 1 to 100 characters.", "Geben Sie einen Namen mit 1 bis 100 Zeichen ein.";
    scopes_hint: "Choose only what the program needs.", "Wählen Sie nur, was das Programm braucht.";
    expiry: "Expiration", "Gültigkeit";
    expires_after: "{time}, until {date}", "{time}, bis {date}";
    expires_date: "On a date…", "Bis zu einem Datum …";
    expires_never: "Never expires", "Unbegrenzt";
    date: "Last day", "Letzter Tag";
    date_hint: "The key works until the end of this day.", "Der Schlüssel gilt bis zum Ende dieses Tages.";
    date_wrong: "Choose today or a later day.", "Wählen Sie heute oder einen späteren Tag.";
    // Showing it once.
    secret_title: "Save your key now", "Schlüssel jetzt sichern";
    secret_lead: "This is the only time that the key is shown. Copy it into a safe place, such as a password manager or your deployment’s secrets.", "Der Schlüssel wird nur dieses eine Mal angezeigt. Kopieren Sie ihn an einen sicheren Ort, zum Beispiel in einen Passwortmanager oder die Geheimnisse Ihrer Umgebung.";
    secret_label: "Key for {name}", "Schlüssel für {name}";
    secret_warning: "You have not copied the key yet. Once closed, it cannot be shown again.", "Sie haben den Schlüssel noch nicht kopiert. Nach dem Schließen kann er nicht mehr angezeigt werden.";
    secret_back: "Go back", "Zurück";
    secret_drop: "Close without copying", "Ohne Kopieren schließen";
    secret_gone: "The key was created, but its secret cannot be shown any more. Rotate it to get a new one.", "Der Schlüssel wurde erstellt, kann aber nicht mehr angezeigt werden. Ersetzen Sie ihn, um einen neuen zu erhalten.";
    // One key.
    facts: "Details", "Details";
    id: "Key ID", "Schlüssel-ID";
    environment: "Environment", "Umgebung";
    last_address: "Last address", "Letzte Adresse";
    replaces: "Replaces", "Ersetzt";
    replaced_by: "Replaced by", "Ersetzt durch";
    revoked: "Revoked", "Widerrufen";
    reason_label: "Reason", "Grund";
    allowed_ips: "Allowed addresses", "Erlaubte Adressen";
    allowed_origins: "Allowed origins", "Erlaubte Ursprünge";
    usage: "Usage", "Nutzung";
    calls: "Calls", "Aufrufe";
    calls_ever: "Calls in total", "Aufrufe insgesamt";
    calls_in_range: "Calls in this period", "Aufrufe in diesem Zeitraum";
    range: "Period", "Zeitraum";
    range_hours: "48 hours", "48 Stunden";
    range_days: "30 days", "30 Tage";
    chart: "Bar chart: {count} calls from {from} to {to}, at most {most}", "Balkendiagramm: {count} Aufrufe von {from} bis {to}, höchstens {most}";
    chart_table: "Show as a table", "Als Tabelle zeigen";
    no_calls: "No calls in this period", "Keine Aufrufe in diesem Zeitraum";
    activity_of_key: "Activity of this key", "Aktivität dieses Schlüssels";
    rename: "Rename", "Umbenennen";
    rename_title: "Rename the key", "Schlüssel umbenennen";
    renamed: "Renamed", "Umbenannt";
    disable: "Disable", "Deaktivieren";
    disabled: "Disabled. The key is refused until it is enabled again.", "Deaktiviert. Der Schlüssel wird abgewiesen, bis er wieder aktiviert wird.";
    enable: "Enable", "Aktivieren";
    enabled: "Enabled", "Aktiviert";
    rotate: "Rotate", "Ersetzen";
    rotate_title: "Rotate {name}", "{name} ersetzen";
    rotate_lead: "You get a new key with the same name, scopes and limits. The old one goes on working for the overlap, so that you can switch without an interruption.", "Sie erhalten einen neuen Schlüssel mit gleichem Namen, gleichen Berechtigungen und Grenzen. Der alte gilt während der Übergangszeit weiter, damit Sie ohne Unterbrechung wechseln können.";
    overlap: "Overlap", "Übergangszeit";
    overlap_none: "None: the old key stops now", "Keine: Der alte Schlüssel endet sofort";
    overlap_until: "Both keys work until {date}.", "Beide Schlüssel gelten bis {date}.";
    overlap_now: "Programs with the old key are refused at once.", "Programme mit dem alten Schlüssel werden sofort abgewiesen.";
    revoke: "Revoke", "Widerrufen";
    revoke_title: "Revoke {name}", "{name} widerrufen";
    revoke_lead: "Programs with this key are refused at once. This cannot be undone.", "Programme mit diesem Schlüssel werden sofort abgewiesen. Das lässt sich nicht rückgängig machen.";
    revoke_ask: "Type {name} to confirm", "Zur Bestätigung {name} eingeben";
    reason: "Reason (optional)", "Grund (optional)";
    revoked_now: "Revoked. The key is refused from now on.", "Widerrufen. Der Schlüssel wird ab sofort abgewiesen.";
    // Activity.
    activity: "Activity", "Aktivität";
    activity_hint: "Path, address or key ID", "Pfad, Adresse oder Schlüssel-ID";
    time: "Time", "Zeit";
    event: "Event", "Ereignis";
    actor: "By", "Durch";
    address: "Address", "Adresse";
    new_address: "new", "neu";
    outcome: "Outcome", "Ergebnis";
    accepted: "Accepted", "Angenommen";
    refused: "Refused", "Abgewiesen";
    event_authenticate: "Call", "Aufruf";
    event_create: "Created", "Erstellt";
    event_update: "Changed", "Geändert";
    event_disable: "Disabled", "Deaktiviert";
    event_enable: "Enabled", "Aktiviert";
    event_rotate: "Rotated", "Ersetzt";
    event_regenerate: "Regenerated", "Neu erzeugt";
    event_revoke: "Revoked", "Widerrufen";
    activity_key: "Key: {name}", "Schlüssel: {name}";
    all_keys: "Show all", "Alle zeigen";
    no_activity: "Nothing here yet", "Noch nichts zu sehen";
    no_activity_hint: "Calls and changes that match appear here.", "Passende Aufrufe und Änderungen erscheinen hier.";
    // What goes wrong.
    sign_in_title: "Sign in to see your keys", "Melden Sie sich an, um Ihre Schlüssel zu sehen";
    sign_in_hint: "Your session has ended, or you are not signed in.", "Ihre Sitzung ist beendet, oder Sie sind nicht angemeldet.";
    sign_in: "Sign in", "Anmelden";
    no_access_title: "You have no access to these keys", "Sie haben keinen Zugriff auf diese Schlüssel";
    no_access_hint: "Ask an administrator of the organization for a role that manages keys.", "Bitten Sie die Administration der Organisation um eine Rolle, die Schlüssel verwalten darf.";
    no_access_role: "Your role there: {roles}", "Ihre Rolle dort: {roles}";
    no_organization_title: "You belong to no organization", "Sie gehören keiner Organisation an";
    no_organization_hint: "Keys belong to organizations. Ask for an invitation to one.", "Schlüssel gehören Organisationen. Bitten Sie um eine Einladung.";
    failed_title: "The keys could not be loaded", "Die Schlüssel konnten nicht geladen werden";
    retry: "Try again", "Erneut versuchen";
    retry_in: "Try again in {time}", "Erneut versuchen in {time}";
    wrong_offline: "The server could not be reached.", "Der Server ist nicht erreichbar.";
    wrong_signed_out: "You are no longer signed in.", "Sie sind nicht mehr angemeldet.";
    wrong_forbidden: "You may not do this.", "Sie dürfen das nicht tun.";
    wrong_gone: "There is no such key any more.", "Diesen Schlüssel gibt es nicht mehr.";
    wrong_conflict: "The key’s state does not allow this.", "Der Status des Schlüssels lässt das nicht zu.";
    wrong_changed: "Somebody has changed this key in the meantime. It was loaded again: look at it and repeat what you wanted to do.", "Der Schlüssel wurde inzwischen geändert. Er wurde neu geladen: Prüfen Sie ihn und wiederholen Sie die Änderung.";
    wrong_fields: "Check what you have entered.", "Prüfen Sie Ihre Eingaben.";
    wrong_limited: "Too many requests.", "Zu viele Anfragen.";
    wrong_unavailable: "The server cannot answer just now.", "Der Server kann gerade nicht antworten.";
    wrong_other: "Something went wrong.", "Etwas ist schiefgegangen.";
    reference: "Reference: {id}", "Referenz: {id}";
}

impl Texts {
    /// Where writing begins: scripts of the right-to-left languages that are written most.
    pub(super) fn direction(&self) -> &'static str {
        let primary = self.language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        if ["ar", "fa", "he", "ps", "ur", "yi"].contains(&&*primary) { "rtl" } else { "ltr" }
    }

    /// Whether no text is empty, and each has the words in braces that the page fills in.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let letters = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        let mut errors = Vec::new();
        if self.language.is_empty() || !letters(&self.language) {
            errors.push(ConfigError::new("texts", "language: expected a tag such as en or pt-BR"));
        }
        let english = Self::english();
        for ((name, text), (_, original)) in self.entries().zip(english.entries()) {
            if text.trim().is_empty() {
                errors.push(ConfigError::new("texts", format_args!("{name}: is empty")));
            } else if words(text) != words(original) {
                let expected = words(original);
                errors
                    .push(ConfigError::new("texts", format_args!("{name}: expected the words {expected:?} in braces")));
            }
        }
        ConfigError::all(errors)
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::english()
    }
}

/// What stands in braces, sorted.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<_> =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_are_whole_and_fill_in_the_same_words() {
        let (english, german) = (Texts::english(), Texts::german());
        assert_eq!((english.check(), german.check()), (Ok(()), Ok(())));
        let same = ["name", "facts"];
        for ((name, english), (_, german)) in english.entries().zip(german.entries()) {
            assert!(english != german || same.contains(&name), "{name} is not translated: {english}");
        }
    }

    #[test]
    fn a_translation_that_would_show_nothing_or_too_little_is_refused() {
        let mut texts = Texts::german();
        texts.language = "deutsch, bitte".into();
        texts.title = " ".into();
        texts.shown = "alle".into();
        let error = texts.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "texts: language: expected a tag such as en or pt-BR; texts: title: is empty; \
             texts: shown: expected the words [\"count\"] in braces"
        );
        assert!(serde_json::from_str::<Texts>(r#"{"titel":"x"}"#).is_err(), "a name that there is not");
    }

    #[test]
    fn languages_are_written_from_their_own_side() {
        let of = |language: &'static str| Texts { language: language.into(), ..Texts::english() }.direction();
        assert_eq!((of("en"), of("he"), of("ar-EG")), ("ltr", "rtl", "rtl"));
    }
}
