import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createSampleReader, type Sample } from '../../src/lib/prometheus-text.js'

/** The samples of a text that comes in pieces of this size. */
function read(text: string, size = text.length || 1, names = ['a', 'b_total']): Sample[] {
  const found: Sample[] = []
  const reader = createSampleReader(new Map(names.map((name) => [name, (sample: Sample) => found.push(sample)])))
  for (let at = 0; at < text.length; at += size) reader.push(text.slice(at, at + size))
  reader.end()
  return found
}

const one = (line: string) => read(`${line}\n`)[0]
const values = (text: string) => read(text).map(({ value }) => value)

describe('Prometheus text', () => {
  test('gives the metrics that are asked for, and skips HELP, TYPE, blank lines and all others', () => {
    const text = `# HELP a Something "quoted" {here="x"} 5\n# TYPE a counter\n\na 1\nab 2\na_b{x="y"} 3\nc{broken 4\n  a 5\na{} 6\n`
    expect(values(text)).toEqual([1, 6])
  })

  test('holds numbers as Go writes them', () => {
    expect(values('a 1.5e+06\na 2E3\na -0.25\na +Inf\na -Inf\na NaN\na .5\na 1.\na 0\n')).toEqual([
      1_500_000,
      2000,
      -0.25,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      0.5,
      1,
      0,
    ])
  })

  test('may have a timestamp, an exemplar, tabs, blanks and a carriage return', () => {
    expect(values('a 1 1700000000000\na\t2\na  3 -5  \na{x="y"} 4 # {trace="z"} 0.5 1.5\na 5\r\n')).toEqual([
      1, 2, 3, 4, 5,
    ])
  })

  test('has labels with escapes, commas, braces and blanks in them', () => {
    expect([
      ...(one('a{ x = "1" , path="C:\\\\dir",say="\\"hi\\"",two="a\\nb",odd="}\\t, {",empty="",} 7')?.labels ?? []),
    ]).toEqual([
      ['x', '1'],
      ['path', 'C:\\dir'],
      ['say', '"hi"'],
      ['two', 'a\nb'],
      ['odd', '}\\t, {'],
      ['empty', ''],
    ])
  })

  test('may come in pieces of any size', () => {
    const text = 'a{x="1"} 1\n# a 9\nb_total{s="öß☃"} 2\na 3\n'
    for (let size = 1; size <= text.length; size++) expect(read(text, size)).toEqual(read(text))
  })

  test.each([
    ['a', 'no value'],
    ['a x', 'no value'],
    ['a 1,5', 'no value'],
    ['a 0x10', 'no value'],
    ['a 1 2 3', 'no value'],
    ['a{x="1" 1', 'not closed'],
    ['a{x="1} 1', 'not closed'],
    ['a{x=1} 1', 'not closed'],
    ['a{x="1""y"} 1', 'not closed'],
    ['a{x="1"}1', 'no value'],
    ['a{x="\\"} 1', 'not closed'],
  ])('a line that is not understood is an error, never a lost count: %s', (line, why) => {
    expect(() => one(line)).toThrow(
      expect.objectContaining({ code: 'METRICS_UNREADABLE', message: expect.stringContaining(why) }),
    )
  })

  test('that ends within a line is an error', () => {
    expect(() => read('a 1\na 12')).toThrow(/ends within a line/)
    expect(() => read('a 1\n# comm')).toThrow(/ends within a line/)
  })

  test('a line without end does not fill the memory', () => {
    const reader = createSampleReader(new Map())
    const feed = () => {
      for (let round = 0; round < 100; round++) reader.push('x'.repeat(10_000))
    }
    expect(feed).toThrow(/too long/)
  })

  test('is read or refused in time in proportion to its length', () => {
    for (const text of [
      `a{${'x="1",'.repeat(5000)}`,
      `a{x="${'\\\\'.repeat(20_000)}`,
      `a${' '.repeat(40_000)}x`,
      `a 1 ${'1'.repeat(40_000)}x`,
    ])
      expect(() => one(text)).toThrow(/cannot be read/)
  })

  test('what one writes, one reads', () => {
    const escaped = (text: string) => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.double(), fc.integer({ min: 1, max: 9 }), (label, value, size) => {
        const [sample] = read(`a{x="${escaped(label)}"} ${String(value).replace('Infinity', 'Inf')}\n`, size)
        expect(sample?.labels.get('x')).toBe(label)
        expect(sample?.value).toBe(value === 0 ? Number(String(value)) : value)
      }),
    )
  })

  test('garbage gives an error or nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          read(`a${text}\n`)
        } catch (error) {
          expect(error).toMatchObject({ code: 'METRICS_UNREADABLE' })
        }
      }),
    )
  })
})
