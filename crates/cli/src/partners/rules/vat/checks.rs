//! The check digits of VAT numbers, one function a country.
//!
//! The national rules, compared with python-stdnum on random numbers of every scheme. Each function
//! is given the number without its prefix, of a structure that its scheme allows, and says whether
//! it is consistent.

use crate::partners::rules::digits::{digit, luhn, mod_11_10, mod_97, number, weighted};

/// Austria: `U` and 8 digits.
pub fn at(vat: &[u8]) -> bool {
    let sum: u32 = vat[1..8]
        .iter()
        .enumerate()
        .map(|(place, &byte)| {
            let value = digit(byte) << (place % 2);
            value / 10 + value % 10
        })
        .sum();
    digit(vat[8]) == (96 - sum) % 10
}

/// Belgium: 97 minus the first eight digits modulo 97.
pub fn be(vat: &[u8]) -> bool {
    97 - number(&vat[..8]) % 97 == number(&vat[8..])
}

/// Bulgaria: 9 digits for legal entities; 10 for persons, foreigners and others.
pub fn bg(vat: &[u8]) -> bool {
    let last = digit(vat[vat.len() - 1]);
    if vat.len() == 9 {
        let check = match weighted(&vat[..8], &[1, 2, 3, 4, 5, 6, 7, 8]) % 11 {
            10 => weighted(&vat[..8], &[3, 4, 5, 6, 7, 8, 9, 10]) % 11 % 10,
            check => check,
        };
        return check == last;
    }
    let body = &vat[..9];
    // Months carry the century: plus 20 for the 1800s, plus 40 for the 2000s.
    let month = number(&vat[2..4]);
    let born = month <= 52 && calendar_day(month % 20, number(&vat[4..6]));
    let person = weighted(body, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    let foreigner = weighted(body, &[21, 19, 17, 13, 11, 9, 7, 3, 1]) % 10;
    let other = (11 - weighted(body, &[4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    born && person == last || foreigner == last || other == last
}

fn calendar_day(month: u64, day: u64) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Switzerland and Liechtenstein: `E` and the nine digits of the UID.
pub fn ch(vat: &[u8]) -> bool {
    let check = (11 - weighted(&vat[1..9], &[5, 4, 3, 2, 7, 6, 5, 4]) % 11) % 11;
    check == digit(vat[9])
}

/// Cyprus: 8 digits and a letter; the numbers do not start with 12.
pub fn cy(vat: &[u8]) -> bool {
    const ODD_PLACES: [u32; 10] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];
    let sum: u32 = vat[..8]
        .iter()
        .enumerate()
        .map(|(place, &byte)| match place % 2 {
            // A digit is an index below ten.
            0 => ODD_PLACES[digit(byte) as usize % 10],
            _ => digit(byte),
        })
        .sum();
    !vat.starts_with(b"12") && u32::from(vat[8] - b'A') == sum % 26
}

/// Czechia: 8 digits for legal entities, 9 or 10 for persons.
pub fn cz(vat: &[u8]) -> bool {
    match vat.len() {
        8 => {
            let check = match (11 - weighted(&vat[..7], &[8, 7, 6, 5, 4, 3, 2]) % 11) % 11 {
                0 => 1,
                10 => 0,
                check => check,
            };
            vat[0] != b'9' && check == digit(vat[7])
        }
        9 if vat[0] == b'6' => {
            const CHECKS: [u32; 11] = [8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8];
            let sum = weighted(&vat[1..8], &[8, 7, 6, 5, 4, 3, 2]);
            // The distance to the next multiple of 11, 1 to 11, less one: an index below 11.
            CHECKS[(10 - sum % 11) as usize] == digit(vat[8])
        }
        // Birth numbers before 1954 have no check digit.
        9 => number(&vat[..2]) < 54 && czech_birth(vat),
        // Until 1985 a remainder of 10 was written as 0.
        _ => {
            czech_birth(vat)
                && number(&vat[..9]) % 11 % 10 == u64::from(digit(vat[9]))
                && (number(vat).is_multiple_of(11) || (54..=85).contains(&number(&vat[..2])))
        }
    }
}

/// Whether a Czech or Slovak birth number holds a date: plus 50 for women, plus 20 in crowded years.
fn czech_birth(vat: &[u8]) -> bool {
    let month = number(&vat[2..4]) % 50;
    let month = if month > 20 { month - 20 } else { month };
    calendar_day(month, number(&vat[4..6]))
}

/// Denmark: weighted sum modulo 11.
pub fn dk(vat: &[u8]) -> bool {
    weighted(vat, &[2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Estonia: weighted sum modulo 10.
pub fn ee(vat: &[u8]) -> bool {
    weighted(vat, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// Greece: powers of two modulo 11.
pub fn el(vat: &[u8]) -> bool {
    weighted(&vat[..8], &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == digit(vat[8])
}

/// Spain: NIF of persons, NIE of foreigners, CIF of legal entities.
pub fn es(vat: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    // A remainder by 23 is an index below 23.
    let letter = |value: u64| LETTERS[(value % 23) as usize] == vat[8];
    match vat[0] {
        b'0'..=b'9' => letter(number(&vat[..8])),
        b'K' | b'L' | b'M' => letter(number(&vat[1..8])),
        first @ b'X'..=b'Z' => letter(u64::from(first - b'X') * 10_000_000 + number(&vat[1..8])),
        first => {
            let sum: u32 = vat[1..8]
                .iter()
                .enumerate()
                .map(|(place, &byte)| {
                    let value = digit(byte) << (1 - place % 2);
                    value / 10 + value % 10
                })
                .sum();
            let check = (10 - sum % 10) % 10;
            // A check digit is an index below ten.
            let as_letter = b"JABCDEFGHI"[check as usize] == vat[8];
            let as_digit = vat[8] == b'0' + check as u8;
            match first {
                b'N' | b'P' | b'Q' | b'R' | b'S' | b'W' => as_letter,
                // Spanish bodies have a digit, foreign ones a letter.
                b'A'..=b'H' | b'J' | b'U' | b'V' => as_digit || as_letter,
                _ => false,
            }
        }
    }
}

/// Finland: weighted sum modulo 11.
pub fn fi(vat: &[u8]) -> bool {
    weighted(vat, &[7, 9, 10, 5, 8, 4, 2, 1]).is_multiple_of(11)
}

/// France and Monaco: a key of two characters and the SIREN, which has a Luhn digit of its own
/// except in Monaco (000…).
pub fn fr(vat: &[u8]) -> bool {
    const ALPHABET: &[u8; 34] = b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let siren = number(&vat[2..]);
    if !luhn(&vat[2..]) && !vat[2..].starts_with(b"000") {
        return false;
    }
    if vat[0].is_ascii_digit() && vat[1].is_ascii_digit() {
        return number(&vat[..2]) == (siren * 100 + 12) % 97;
    }
    let value = |byte: u8| ALPHABET.iter().position(|&letter| letter == byte);
    let (Some(first), Some(second)) = (value(vat[0]), value(vat[1])) else {
        return false;
    };
    let key = if vat[0].is_ascii_digit() {
        first as u64 * 24 + second as u64 - 10
    } else {
        first as u64 * 34 + second as u64 - 100
    };
    (siren + 1 + key / 11) % 11 == key % 11
}

/// United Kingdom and Northern Ireland: 9 digits, 12 with a branch, or a government body.
pub fn gb(vat: &[u8]) -> bool {
    if vat.len() == 5 {
        return (number(&vat[2..]) < 500) == vat.starts_with(b"GD");
    }
    let rest = (weighted(&vat[..7], &[8, 7, 6, 5, 4, 3, 2]) + number(&vat[7..9]) as u32) % 97;
    rest == 0 || (number(&vat[..3]) >= 100 && (rest == 42 || rest == 55))
}

/// Hungary: weighted sum modulo 10.
pub fn hu(vat: &[u8]) -> bool {
    weighted(vat, &[9, 7, 3, 1, 9, 7, 3, 1]).is_multiple_of(10)
}

/// Ireland: 7 digits and one or two letters; the old form has a letter or sign at the second place.
pub fn ie(vat: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"WABCDEFGHIJKLMNOPQRSTUV";
    let mut sum = if vat[1].is_ascii_digit() {
        weighted(&vat[..7], &[8, 7, 6, 5, 4, 3, 2])
    } else {
        weighted(&vat[2..7], &[7, 6, 5, 4, 3]) + 2 * digit(vat[0])
    };
    if let Some(&extra) = vat.get(8) {
        let Some(value) = LETTERS.iter().position(|&letter| letter == extra) else {
            return false;
        };
        sum += 9 * value as u32;
    }
    // A remainder by 23 is an index below 23.
    LETTERS[(sum % 23) as usize] == vat[7]
}

/// Italy: 7 digits, the province, and a Luhn digit.
pub fn it(vat: &[u8]) -> bool {
    let province = number(&vat[7..10]);
    number(&vat[..7]) != 0 && matches!(province, 1..=100 | 120 | 121 | 888 | 999) && luhn(vat)
}

/// Lithuania: 9 digits for legal entities, 12 for others; the last but one is 1.
pub fn lt(vat: &[u8]) -> bool {
    let (body, last) = vat.split_at(vat.len() - 1);
    let sum = |shift: usize| -> u32 {
        body.iter().enumerate().map(|(place, &byte)| digit(byte) * ((place + shift) % 9 + 1) as u32).sum()
    };
    let check = match sum(0) % 11 {
        10 => sum(2) % 11 % 10,
        check => check,
    };
    body.ends_with(b"1") && check == digit(last[0])
}

/// Luxembourg: the first six digits modulo 89.
pub fn lu(vat: &[u8]) -> bool {
    number(&vat[..6]) % 89 == number(&vat[6..])
}

/// Latvia: legal entities start with 4 to 9; persons with their birth date or with 32.
pub fn lv(vat: &[u8]) -> bool {
    if vat[0] > b'3' {
        return weighted(vat, &[9, 1, 4, 8, 3, 10, 2, 5, 7, 6, 1]) % 11 == 3;
    }
    let check = (1 + weighted(&vat[..10], &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10;
    let born = calendar_day(number(&vat[2..4]), number(&vat[..2])) && vat[6] <= b'2';
    (born || vat.starts_with(b"32")) && check == digit(vat[10])
}

/// Malta: weighted sum modulo 37.
pub fn mt(vat: &[u8]) -> bool {
    let sum = weighted(&vat[..6], &[3, 4, 6, 7, 8, 9]) + number(&vat[6..]) as u32;
    sum.is_multiple_of(37)
}

/// Netherlands: 9 digits, `B`, 2 digits; modulo 11 on the nine digits, or, for sole proprietors
/// since 2020, modulo 97 over the whole number with its prefix.
pub fn nl(vat: &[u8]) -> bool {
    let sum = weighted(&vat[..8], &[9, 8, 7, 6, 5, 4, 3, 2]);
    vat[10..] != *b"00" && (sum % 11 == digit(vat[8]) || mod_97(&[b"NL", vat]) == 1)
}

/// Norway: the organization number, weighted sum modulo 11.
pub fn no(vat: &[u8]) -> bool {
    weighted(vat, &[3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Poland: weighted sum modulo 11.
pub fn pl(vat: &[u8]) -> bool {
    weighted(&vat[..9], &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digit(vat[9])
}

/// Portugal: weighted sum modulo 11.
pub fn pt(vat: &[u8]) -> bool {
    let check = (11 - weighted(&vat[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 % 10;
    check == digit(vat[8])
}

/// Romania: 2 to 10 digits, weights aligned to the right.
pub fn ro(vat: &[u8]) -> bool {
    const WEIGHTS: [u32; 9] = [7, 5, 3, 2, 1, 7, 5, 3, 2];
    let (body, last) = vat.split_at(vat.len() - 1);
    let sum = weighted(body, &WEIGHTS[9 - body.len()..]);
    sum * 10 % 11 % 10 == digit(last[0])
}

/// Sweden: the organization number with its Luhn digit, and two digits from 01 to 94.
pub fn se(vat: &[u8]) -> bool {
    (1..=94).contains(&number(&vat[10..])) && luhn(&vat[..10])
}

/// Slovenia: weighted sum modulo 11; a remainder of 0 is not given out.
pub fn si(vat: &[u8]) -> bool {
    let check = match 11 - weighted(&vat[..7], &[8, 7, 6, 5, 4, 3, 2]) % 11 {
        10 => 0,
        check => check,
    };
    check == digit(vat[7])
}

/// Slovakia: a multiple of 11 whose third digit is one of 2, 3, 4, 7, 8, 9.
pub fn sk(vat: &[u8]) -> bool {
    matches!(vat[2], b'2'..=b'4' | b'7'..=b'9') && number(vat).is_multiple_of(11)
}

/// Germany: ISO/IEC 7064 MOD 11,10.
pub fn de(vat: &[u8]) -> bool {
    mod_11_10(vat)
}

/// Croatia: ISO/IEC 7064 MOD 11,10.
pub fn hr(vat: &[u8]) -> bool {
    mod_11_10(vat)
}
