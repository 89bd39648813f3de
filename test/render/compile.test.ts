import { describe, expect, test } from '@jest/globals'
import { compileTemplates } from '../../src/render/compile.js'

const compile = (files: Record<string, string>) =>
  compileTemplates(Object.entries(files).map(([file, text]) => ({ file, text })))
const render = (files: Record<string, string>, context: object) =>
  Object.fromEntries(
    compile(files)
      .render(context)
      .map(({ name, text }) => [name, text]),
  )

describe('strict templates', () => {
  const context = { domain: 'x.test', backends: [{ name: 'shop', stack: 'shop' }] }

  test('every file is rendered without its .hbs; partials are not files of their own', () => {
    expect(render({ 'a.cfg.hbs': 'A {{> part}}', '_part.hbs': '{{domain}}', 'b.map.hbs': 'B' }, context)).toEqual({
      'a.cfg': 'A x.test',
      'b.map': 'B',
    })
  })

  test.each([
    [
      'an unknown field',
      { 'a.hbs': 'one\n{{doman}}' },
      'template a.hbs line 2: no field is called "doman" here. Did you mean domain?',
    ],
    [
      'an unknown field of an item',
      { 'a.hbs': '{{#each backends}}\n{{nmae}}\n{{/each}}' },
      'template a.hbs line 2: no field is called "nmae" here. Did you mean name?',
    ],
    [
      'an unknown helper',
      { 'a.hbs': '\n\n{{lowr domain}}' },
      'template a.hbs line 3: no helper is called "lowr". Did you mean lower?',
    ],
    [
      'a partial that is not there',
      { 'a.hbs': '{{> nothing}}' },
      'template a.hbs line 1: there is no partial _nothing.hbs',
    ],
    [
      'an error inside a partial',
      { 'a.hbs': '{{> part}}', '_part.hbs': 'x\n{{stak}}' },
      'template _part.hbs line 2: no field is called "stak" here. Did you mean stack?',
    ],
  ])('%s is an error with file, line and the nearest known name', (_, files, message) => {
    expect(() => render(files as Record<string, string>, context)).toThrow(message)
  })

  test('a template that cannot be parsed names file and line', () => {
    expect(() => compile({ 'a.hbs': 'fine\n{{#if domain}}\nnever closed' })).toThrow(/^template a\.hbs line \d: /)
  })

  test('values are text: nothing is escaped for HTML, nothing in them is template', () => {
    expect(render({ 'a.hbs': '{{value}}' }, { value: '<{{domain}}>&' })).toEqual({ a: '<{{domain}}>&' })
  })

  test('inherited fields give nothing', () => {
    expect(render({ 'a.hbs': '[{{constructor}}]' }, context)).toEqual({ a: '[]' })
  })
})

describe('what a partial gave is kept for an unchanged object', () => {
  const list = '{{#each items}}{{> item}}{{/each}}'
  const twice = (item: string, change: (context: Record<string, unknown>) => Record<string, unknown>) => {
    const templates = compile({ 'a.hbs': list, '_item.hbs': item })
    const first: Record<string, unknown> = {
      top: 1,
      items: [
        { name: 'a', parts: [1, 2] },
        { name: 'b', parts: [3] },
      ],
    }
    return [templates.render(first), templates.render(change(first))].map(([page]) => page?.text)
  }

  test('but never when it looks beyond that object', () => {
    expect(twice('{{name}}{{@root.top}} ', (before) => ({ ...before, top: 2 }))).toEqual(['a1 b1 ', 'a2 b2 '])
    expect(
      twice('{{name}}{{@index}} ', (before) => ({ ...before, items: (before['items'] as []).toReversed() })),
    ).toEqual(['a0 b1 ', 'b0 a1 '])
  })

  test('and loops of its own are its own', () => {
    expect(twice('{{#each parts}}{{../name}}{{@index}}{{/each}} ', (before) => before)).toEqual([
      'a0a1 b0 ',
      'a0a1 b0 ',
    ])
  })

  test('an object that was replaced is rendered anew', () => {
    const replace = (before: Record<string, unknown>) => ({
      ...before,
      items: [(before['items'] as [object])[0], { name: 'c', parts: [] }],
    })
    expect(twice('{{name}} ', replace)).toEqual(['a b ', 'a c '])
  })
})
