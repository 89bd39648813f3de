import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { compileTemplates } from '../../src/render/compile.js'
import { helpersTable } from '../../src/render/describe.js'
import { helpers } from '../../src/render/helpers.js'

const render = (text: string, context: object = {}) =>
  compileTemplates([{ file: 'x.hbs', text }]).render(context)[0]?.text

describe('template helpers', () => {
  test.each(Object.entries(helpers).filter(([name]) => name !== 'where'))(
    '%s does what its example says',
    (_, { example }) => {
      expect(render(example[0])).toBe(example[1])
    },
  )

  test('where keeps the items whose field has the value', () => {
    const backends = [{ stack: 'shop' }, { stack: 'blog' }]
    expect(render('{{#each (where backends "stack" "shop")}}[{{stack}}]{{/each}}', { backends })).toBe('[shop]')
  })

  test('quote refuses what no HAProxy line can hold', () => {
    expect(() => render('{{quote value}}', { value: 'a\nb' })).toThrow('control character')
  })

  test('docs/templates.md shows every helper with its example; `npm run docs` writes them', () => {
    const page = readFileSync(new URL('../../docs/templates.md', import.meta.url), 'utf8')
    const [, written] = /<!-- helpers -->\n([\s\S]*?)\n<!-- \/helpers -->/.exec(page) ?? []
    expect(written).toBe(helpersTable())
  })
})
