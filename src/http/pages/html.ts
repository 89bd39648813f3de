/** Markup that needs no more escaping. Only `html` makes it, so that text cannot become markup by mistake. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What a template may hold: text is escaped, markup is not, lists are joined, and what is missing leaves nothing. */
export type Content = Markup | string | number | undefined | readonly Content[]

/** A template literal whose values are escaped for text and for quoted attributes. */
export const html = (parts: TemplateStringsArray, ...values: readonly Content[]): Markup =>
  new Markup(parts.map((part, index) => part + markupOf(values[index])).join(''))

function markupOf(content: Content): string {
  if (content === undefined) return ''
  if (content instanceof Markup) return content.text
  if (typeof content === 'object') return content.map(markupOf).join('')
  return escapeHtml(String(content))
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Direction marks go too: they would let a label's value turn around the words beside it. */
const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '').replace(/[\p{Cf}\p{Cc}]/gu, ' ')
