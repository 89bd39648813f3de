import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { catalogue } from '../../src/config/catalogue.js'
import { settingsTable } from '../../src/config/describe.js'

describe('the settings in docs/settings.md', () => {
  test('are those of the schema; `npm run docs` writes them', () => {
    const page = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8')
    const [, written] = /<!-- settings -->\n([\s\S]*?)\n<!-- \/settings -->/.exec(page) ?? []
    expect(written).toBe(settingsTable())
  })

  test('have a row each, with what sets them and what they mean', () => {
    expect(settingsTable().split('\n')).toHaveLength(catalogue.length + 2)
    for (const { key, env, description } of catalogue) {
      expect({ key, named: env.every((name) => /^(?:[A-Z][A-Z0-9_]+|[a-z]+(?:_[a-z]+)+)$/.test(name)) }).toEqual({
        key,
        named: true,
      })
      expect(description).toMatch(/\.$/)
    }
  })

  test('share no environment variable', () => {
    const names = catalogue.flatMap((entry) => entry.env)
    expect(new Set(names).size).toBe(names.length)
  })
})
