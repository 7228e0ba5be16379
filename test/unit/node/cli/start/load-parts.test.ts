/** Modules of parts as `parley up` loads them. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadParts } from '../../../../../node/cli/start/load-parts.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'

const part = (name: string): string =>
  `export default { name: '${name}', description: 'Counts.', load: () => Promise.reject(new Error('-')) }\n`

const refusal = async (file: string) => {
  try {
    await loadParts([file])
  } catch (error) {
    assert.ok(isParleyError(error, 'MSG001'), String(error))
    assert.ok(error.hint !== undefined)
    return error.message
  }
  return assert.fail('it was loaded')
}

test('parts come in the order in which their modules are named, and none of them is started', async (context) => {
  const folder = await testFolder(context)
  const files = ['one', 'two'].map((name) => join(folder, `${name}.mjs`))
  for (const file of files) await writeFile(file, part(file.endsWith('one.mjs') ? 'acme/one' : 'acme/two'))
  assert.deepEqual(
    (await loadParts(files)).map(({ name }) => name),
    ['acme/one', 'acme/two'],
  )
  assert.deepEqual(await loadParts([]), [])
})

test('a module that is missing, broken, or exports no part is refused by its name', async (context) => {
  const folder = await testFolder(context)
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  assert.match(await refusal(join(folder, 'missing.mjs')), /missing\.mjs cannot be loaded/)
  assert.match(await refusal(await file('throws.mjs', "throw new Error('no model here')\n")), /no model here.*:1\)/)
  assert.match(await refusal(await file('named.mjs', 'export const part = {}\n')), /named\.mjs has no default export/)
  assert.match(await refusal(await file('agent.mjs', 'export default { name: 5 }\n')), /agent\.mjs is not a part/)
  assert.match(await refusal(await file('own.mjs', part('journal'))), /journal has no vendor/)
})
