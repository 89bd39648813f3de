import { StringDecoder } from 'node:string_decoder'

/**
 * The lines of a stream that comes in arbitrary chunks. A line longer than `maxLength` is given as undefined, once,
 * without being held in memory.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>, maxLength: number): AsyncGenerator<string | undefined> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let skipping = false
  for await (const chunk of chunks) {
    const parts = decoder.write(chunk).split('\n')
    const last = parts.pop() ?? ''
    for (const part of parts) {
      const line = rest + part
      rest = ''
      if (skipping) skipping = false
      else if (line.length > maxLength) yield undefined
      else if (line.trim() !== '') yield line
    }
    if (skipping) continue
    rest += last
    if (rest.length <= maxLength) continue
    rest = ''
    skipping = true
    yield undefined
  }
}
