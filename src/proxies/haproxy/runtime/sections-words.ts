/** Stands between the words of a line that has been read, since a quoted word may hold spaces. */
export const SEPARATOR = '\u001f'
/** Marks what an environment variable will fill in, so that it differs from the same text in single quotes. */
export const VARIABLE = '\u001e'

const NEEDS_CARE = /["'\\#$\r\v\f]/

/**
 * The words of one configuration line joined by `SEPARATOR`: '' for blank lines and comments. Section 2.2 of the manual:
 * white space separates, `#` outside quotes ends the line, `\` escapes a few characters, variables count in double quotes.
 * A line whose quotes do not close, which HAProxy refuses, comes back as it stands.
 */
export function readLine(line: string): string {
  if (NEEDS_CARE.test(line)) return new LineReader(line).read()
  const trimmed = line.trim()
  return trimmed === '' ? '' : trimmed.split(/[ \t]+/).join(SEPARATOR)
}

export const wordsOf = (line: string): string[] => line.split(SEPARATOR)

export const firstWord = (line: string): string => {
  const end = line.indexOf(SEPARATOR)
  return end === -1 ? line : line.slice(0, end)
}

/** What `\` and the character after it stand for, outside single quotes. */
const ESCAPES: Readonly<Record<string, string>> = {
  ' ': ' ',
  '\\': '\\',
  '#': '#',
  "'": "'",
  '"': '"',
  t: '\t',
  n: '\n',
  r: '\r',
}

class LineReader {
  private readonly words: string[] = []
  private word: string | undefined
  private quote = ''
  private at = 0

  constructor(private readonly line: string) {}

  read(): string {
    while (this.at < this.line.length && this.step(this.line[this.at] ?? '')) {
      // Every step moves on by itself.
    }
    if (this.quote !== '') return this.line
    this.endWord()
    return this.words.join(SEPARATOR)
  }

  /** @returns false at the end of the line */
  private step(char: string): boolean {
    if (char === '\r' || char === '\n') return false
    if (char === '#' && this.quote === '') return false
    if (char === this.quote) this.turn('')
    else if (this.quote === '' && (char === '"' || char === "'")) this.turn(char)
    else if (char === '\\' && this.quote !== "'") this.escape()
    else if (this.quote === '' && /\s/.test(char)) this.space()
    else if (char === '$' && this.quote === '"') this.emit(VARIABLE + char, 1)
    else this.emit(char, 1)
    return true
  }

  private turn(quote: string): void {
    this.quote = quote
    this.emit('', 1)
  }

  private escape(): void {
    const next = this.line[this.at + 1] ?? ''
    const hex = /^\\x([0-9a-fA-F]{2})/.exec(this.line.slice(this.at, this.at + 4))
    const escaped = next === '$' && this.quote === '"' ? '$' : ESCAPES[next]
    if (hex) this.emit(String.fromCharCode(Number.parseInt(hex[1] ?? '', 16)), 4)
    else if (escaped === undefined) this.emit('\\', 1)
    else this.emit(escaped, 2)
  }

  private emit(text: string, length: number): void {
    this.word = (this.word ?? '') + text
    this.at += length
  }

  private space(): void {
    this.endWord()
    this.at += 1
  }

  private endWord(): void {
    if (this.word !== undefined) this.words.push(this.word)
    this.word = undefined
  }
}
