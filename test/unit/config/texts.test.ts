import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { UP_DEFAULTS } from '../../../node/cli/up-config.ts'
import { completeChanges } from '../../../node/config/changes.ts'
import { load } from '../../../node/config/load.ts'
import { reference } from '../../../node/config/reference.ts'
import { keySpace } from '../../../node/config/schema.ts'
import { dotted, leavesOf } from '../../../node/config/shape.ts'
import { starter } from '../../../node/config/starter.ts'
import { parseConfig } from '../../../node/config/yaml-file.ts'
import { MeshOptionsSchema } from '../../../node/options.ts'
import { testFolder } from '../../support/folder.ts'

test('the reference in docs/ is what the schema says now', async () => {
  const kept = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  const [, ...sections] = reference(UP_DEFAULTS).split('\n## ')
  for (const section of sections) assert.ok(kept.includes(section.trim()), 'write it anew: npm run docs')
})

test('the reference has each key once, and each says what it is', () => {
  const text = reference(UP_DEFAULTS)
  for (const { path, about } of leavesOf(keySpace().all)) {
    const rows = text
      .split('\n')
      .filter((line) => line.startsWith(`| \`${dotted(path)}`) && line.includes(about.slice(0, 20)))
    assert.ok(rows.length >= 1, dotted(path))
    assert.notEqual(about, '', dotted(path))
  }
})

test('the file of init can be used as it is, and with each of its examples', async (context) => {
  const folder = await testFolder(context)
  const text = starter({ mesh: 'demo', secretFile: 'parley.secret' })
  assert.deepEqual(
    parseConfig(text, 'x').entries.map(({ path, value }) => [dotted(path), value]),
    [
      ['mesh', 'demo'],
      ['secret_file', 'parley.secret'],
    ],
  )
  const all = text.replaceAll(/^#(?=\S| {2}\S)/gm, '')
  const { writeFile } = await import('node:fs/promises')
  await writeFile(join(folder, 'parley.secret'), 'x', { mode: 0o600 })
  await writeFile(join(folder, 'parley.yaml'), all)
  const { sources } = await load({ cwd: folder, env: {} })
  assert.ok(sources.size > 12)
  assert.ok(text.split('\n').every((line) => line.length <= 120))
})

test('a whole configuration as changes names every option, so that what is left out goes back to its default', () => {
  const changes = completeChanges({ limits: { maxActive: 3 }, tls: { certFile: 'a', keyFile: 'b' } })
  const given = new Set(Object.keys(changes))
  const unknown = Object.keys(MeshOptionsSchema.shape).filter((name) => !given.has(name))
  // Parts are a program's own, and have no key.
  assert.deepEqual(unknown, ['parts'])
  assert.equal(changes.limits?.maxActive, 3)
  assert.ok('maxQueuedInbound' in (changes.limits ?? {}))
  assert.deepEqual(changes.tls, { certFile: 'a', keyFile: 'b' })
})
