import { helpers } from './helpers.js'

/** The helpers as a Markdown table: what docs/templates.md holds between its `helpers` markers. */
export const helpersTable = (): string =>
  [
    '| helper | what it gives | for example | gives |',
    '|---|---|---|---|',
    ...Object.entries(helpers).map(
      ([name, { description, example }]) => `| ${code(name)} | ${description} | ${example.map(code).join(' | ')} |`,
    ),
  ].join('\n')

/** Two backticks around, so that the text may hold one; a bar would end the cell. */
const code = (text: string): string => (text.includes('`') ? `\`\` ${bar(text)} \`\`` : `\`${bar(text)}\``)

const bar = (text: string): string => text.replaceAll('|', '\\|')
