import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs')).map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'))

/** Without blocks of code and code in a line, where brackets mean something else. */
const prose = (page: string): string =>
  readFileSync(join(ROOT, page), 'utf8')
    .replace(/^( *)```.*?^\1```/gms, '')
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ''))

/** What GitHub makes of headings: lower case, spaces become `-`, punctuation goes, and a repetition is numbered. */
function anchors(page: string): Set<string> {
  const found = new Set<string>()
  for (const [, heading = ''] of prose(page).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replace(/[^\p{L}\p{M}\p{N}_ -]/gu, '').replaceAll(' ', '-')
    let name = slug
    for (let again = 1; found.has(name); again++) name = `${slug}-${again}`
    found.add(name)
  }
  return found
}

/** Targets of the page's links that lie in this project, as they are written. */
const links = (page: string): string[] =>
  [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))

function isBroken(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? page : join(dirname(page), path)
  if (relative(ROOT, join(ROOT, file)).startsWith('..') || !existsSync(join(ROOT, file))) return true
  return anchor !== undefined && !(file.endsWith('.md') && anchors(file).has(anchor))
}

describe('the links of', () => {
  test.each(PAGES)('%s lead to files and headings that there are', (page) => {
    expect(links(page).filter((target) => isBroken(page, target))).toEqual([])
  })

  test('README.md reach every page, and its contents every section', () => {
    const targets = links('README.md')
    const pages = targets.map((target) => target.split('#')[0])
    expect(PAGES.filter((page) => page.startsWith('docs') && !pages.includes(page))).toEqual([])
    const sections = [...prose('README.md').matchAll(/^## +(.+?) *$/gm)].map(([, heading = '']) => heading)
    const listed = /^## Contents\n(.*?)^## /ms.exec(prose('README.md'))?.[1] ?? ''
    expect(sections.filter((heading) => heading !== 'Contents' && !listed.includes(`[${heading}](#`))).toEqual([])
  })
})

test('README.md can be read in ten minutes', () => {
  expect(readFileSync(join(ROOT, 'README.md')).length).toBeLessThan(18_500)
})
