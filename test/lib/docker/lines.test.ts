import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readLines } from '../../../src/lib/docker/lines.js'

async function linesOf(chunks: readonly Buffer[], maxLength = 1000): Promise<(string | undefined)[]> {
  const stream = (async function* () {
    yield* chunks
  })()
  const lines: (string | undefined)[] = []
  for await (const line of readLines(stream, maxLength)) lines.push(line)
  return lines
}

describe('readLines', () => {
  test('gives the same lines however the text is cut, within characters too', async () => {
    const text = '{"a":"žluť"}\n\n{"b":"🐴"}\r\n{"c":1}\n'
    const cuts = fc.array(fc.integer({ min: 0, max: Buffer.byteLength(text) }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(cuts, async (points) => {
        const bytes = Buffer.from(text)
        const edges = [0, ...points.sort((a, b) => a - b), bytes.length]
        const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
        expect((await linesOf(chunks)).map((line) => line?.trim())).toEqual(['{"a":"žluť"}', '{"b":"🐴"}', '{"c":1}'])
      }),
    )
  })

  test('gives a line that is too long as undefined, once, and goes on after it', async () => {
    const long = Buffer.from('x'.repeat(60))
    expect(await linesOf([Buffer.from('a\n'), long, long, long, Buffer.from('x\nb\n')], 100)).toEqual([
      'a',
      undefined,
      'b',
    ])
    expect(await linesOf([Buffer.from(`${'x'.repeat(101)}\nb\n`)], 100)).toEqual([undefined, 'b'])
  })

  test('leaves out a last line without an end: it may be half of one', async () => {
    expect(await linesOf([Buffer.from('a\nhal')])).toEqual(['a'])
  })
})
