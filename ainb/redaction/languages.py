"""The word "password" in other languages than English."""

from __future__ import annotations

from typing import Final

# A pattern without regard to case.
WORDS: Final = (
    "contrase(?:ñ|n\u0303?)a|passwort|kennwort|mot[ _-]?de[ _-]?passe|(?<!re)senha|wachtwoord|parola"
    "|hasło|heslo|passord|lösenord|şifre|jelszó"
    "|mật[ _-]?khẩu|(?<![a-z])clave|парол[ьа]|лозинка|密码|密碼|口令|パスワード"
    "|비밀번호|암호|κωδικός|סיסמה|كلمة (?:ال)?(?:مرور|سر)|รหัสผ่าน|पासवर्ड"
)
# The part of each word that is in the same case whether or not the word has a capital.
PARTS_OF_WORDS: Final = (
    "contrase", "passwort", "kennwort", "de passe", "depasse", "de_passe", "de-passe", "senha", "wachtwoord",
    "parola", "hasło", "hasŁo", "heslo", "passord", "ösenord", "ÖSENORD", "şifre", "Şifre", "ŞIFRE", "jelszó",
    "JELSZÓ", "ật", "ẬT", "clave", "арол", "АРОЛ", "озинка", "ОЗИНКА", "密码", "密碼", "口令", "パスワード",
    "비밀번호", "암호", "ωδικός", "ΩΔΙΚΌΣ", "סיסמה", "كلمة", "รหัสผ่าน", "पासवर्ड",
)  # fmt: skip
