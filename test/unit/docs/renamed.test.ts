/** The table of the CHANGELOG that leads from former names to those of today: each name of today is there. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const ROOT = new URL('../../..', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')

/** Names that stand in the right column and are no exports, with the file that has them. */
const MEMBERS: Readonly<Record<string, string>> = {
  role: 'protocols/coordinator/coordinator-status.ts',
  withdrawn: 'protocols/coordinator/coordinator-status.ts',
  stop: 'protocols/registration.ts',
  commandId: 'protocols/command/api.ts',
}

test('each new name of the table of renamed things is exported, or is a member of what is', () => {
  const [, section = ''] = read('CHANGELOG.md').split('### Renamed')
  const rows =
    section
      .split('\n### ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| ')) ?? []
  assert.ok(rows.length >= 6, `${rows.length} rows`)
  const entry = read('node/index.ts')
  const missing: string[] = []
  for (const row of rows.slice(1)) {
    const [first = ''] = (row.split('|').at(-2) ?? '').split(';')
    for (const [, name = ''] of first.matchAll(/`(\w+)(?:\(\))?`/g)) {
      const member = MEMBERS[name]
      const text = member === undefined ? entry : read(member)
      if (!new RegExp(`\\b${name}\\b`).test(text)) missing.push(name)
    }
  }
  assert.deepEqual(missing, [])
})
