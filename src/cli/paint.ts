/** Colours of a terminal by meaning; without colour every one is the text itself. */
export interface Paint {
  strong(text: string): string
  plain(text: string): string
  dim(text: string): string
  good(text: string): string
  wait(text: string): string
  bad(text: string): string
}

export function createPaint(color: boolean): Paint {
  const style = (code: number) => (text: string) => (color && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text)
  return { strong: style(1), plain: (text) => text, dim: style(2), good: style(32), wait: style(33), bad: style(31) }
}
