import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { createTemplates } from '../../src/render/templates.js'
import { tempDir } from '../support/temp.js'

function folders() {
  const packaged = tempDir()
  const overlay = tempDir()
  mkdirSync(join(packaged, 'haproxy'))
  writeFileSync(join(packaged, 'haproxy', 'a.cfg.hbs'), 'ours {{x}}')
  writeFileSync(join(packaged, 'haproxy', 'b.map.hbs'), 'map')
  return { packaged, overlay, templates: createTemplates('haproxy', overlay, packaged) }
}

const rendered = (templates: { render(context: object): { name: string; text: string }[] }) =>
  templates.render({ x: 1 }).map(({ name, text }) => `${name}: ${text}`)

describe('a folder of templates laid over the packaged one', () => {
  test('one file of it replaces ours, a new name adds one, the rest stays', () => {
    const { overlay, templates } = folders()
    writeFileSync(join(overlay, 'a.cfg.hbs'), 'theirs {{x}}')
    mkdirSync(join(overlay, 'haproxy'))
    writeFileSync(join(overlay, 'haproxy', 'c.txt.hbs'), 'new')
    expect(rendered(templates)).toEqual(['a.cfg: theirs 1', 'b.map: map', 'c.txt: new'])
  })

  test('an edit counts at the next rendering, a removal too', () => {
    const { overlay, templates } = folders()
    expect(rendered(templates)[0]).toBe('a.cfg: ours 1')
    writeFileSync(join(overlay, 'a.cfg.hbs'), 'edited')
    expect(rendered(templates)[0]).toBe('a.cfg: edited')
    rmSync(join(overlay, 'a.cfg.hbs'))
    expect(rendered(templates)[0]).toBe('a.cfg: ours 1')
  })

  test('a folder that is not there counts as empty; our own missing is an error', () => {
    const { packaged } = folders()
    expect(rendered(createTemplates('haproxy', '/does/not/exist', packaged))).toHaveLength(2)
    expect(() => createTemplates('traefik', '', packaged).render({})).toThrow('cannot be read')
  })
})
