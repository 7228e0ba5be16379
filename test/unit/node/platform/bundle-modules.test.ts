/** Which declarations go with the package: all that a program can name, by whatever way, and no others. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { neededTypes } from '../../../../node/platform/bundle-modules.ts'

test('what is named by what is named is needed, once; what nobody names is not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-types-'))
  mkdirSync(join(folder, 'in'))
  const files = {
    'index.d.ts': `export type { One } from './in/one.ts'\nimport './beside.js'\nimport type { z } from 'zod'\n`,
    'in/one.d.ts': `/** As \`import('./gone.ts')\` does. */\nexport type One = import("../two.ts").Two\nexport * from '../index.ts'\n`,
    'two.d.ts': 'export type Two = 2\n',
    'beside.d.ts': 'export {}\n',
    'unnamed.d.ts': `export type { One } from './in/one.ts'\n`,
  }
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text)
  const needed = [...(await neededTypes([join(folder, 'index.js')]))].map((path) => relative(folder, path)).sort()
  assert.deepEqual(needed, ['beside.d.ts', 'in/gone.d.ts', 'in/one.d.ts', 'index.d.ts', 'two.d.ts'])
})
