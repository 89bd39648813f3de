/**
 * Somebody else's text made fit for a terminal: no escape sequence, line break or right-to-left trick survives, and it
 * is at most `maxLength` characters long.
 */
export function printable(text: string, maxLength = Number.POSITIVE_INFINITY): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ').trim()
  return clean.length > maxLength ? `${clean.slice(0, maxLength - 1)}…` : clean
}
