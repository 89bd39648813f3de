import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createArrayReader } from '../../../src/lib/docker/array-stream.js'
import { codeOf } from '../../../src/lib/errors.js'

function read(chunks: readonly Buffer[], maxItemBytes = 1000): unknown[] {
  const items: unknown[] = []
  const reader = createArrayReader((item) => items.push(item), maxItemBytes)
  for (const chunk of chunks) reader.write(chunk)
  reader.end()
  return items
}

const whole = (text: string) => [Buffer.from(text)]

function failure(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

describe('createArrayReader', () => {
  test('reads what JSON.parse reads, however it is cut and whatever the strings hold', () => {
    const items = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), { maxLength: 5 })
    const cuts = fc.array(fc.nat(), { maxLength: 6 })
    fc.assert(
      fc.property(items, cuts, fc.constantFrom(undefined, 1), (value, points, indent) => {
        const bytes = Buffer.from(` ${JSON.stringify(value, null, indent)}\n`)
        const edges = [0, ...points.map((point) => point % bytes.length).sort((a, b) => a - b), bytes.length]
        const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
        expect(read(chunks, 1_000_000)).toEqual(JSON.parse(bytes.toString()))
      }),
    )
  })

  test('refuses every beginning of a list', () => {
    const text = '[{"a":"]}\\""},{"b":[{}]}]'
    expect(read(whole(text))).toHaveLength(2)
    for (let length = 0; length < text.length; length++) {
      expect(failure(() => read(whole(text.slice(0, length))))).toBe('DOCKER_ANSWER')
    }
  })

  test.each(['{}', '[1]', '[{}{}]', '[,{}]', '[{},]', '[{}]]', '[{}] x', '[{]}]', '[{"a":}]', 'null', '<html>'])(
    'refuses %s',
    (text) => {
      expect(failure(() => read(whole(text)))).toBe('DOCKER_ANSWER')
    },
  )

  test('refuses an object without an end before it fills the memory', () => {
    const piece = Buffer.from('x'.repeat(600))
    expect(failure(() => read([Buffer.from('[{"a":"'), piece, piece]))).toBe('DOCKER_ANSWER')
  })
})
