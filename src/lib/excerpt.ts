/** The first few of a list, and how many it has: for what is kept or sent, and must stay small however long the list is. */
export interface Excerpt {
  readonly count: number
  readonly first: readonly string[]
}

export const excerpt = (items: readonly string[], most: number): Excerpt => ({
  count: items.length,
  first: items.slice(0, most),
})

/** `a`, `a and b`, `a, b, c and 4 more`. Never `1 more`, which would be no shorter than its name. */
export function listed({ count, first }: Excerpt, most = 3): string {
  const shown = count === most + 1 && most > 1 ? first.slice(0, count) : first.slice(0, most)
  const rest = count - shown.length
  const parts = rest > 0 ? [...shown, `${rest} more`] : shown
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}
