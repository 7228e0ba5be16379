import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { inputOf, labelsOf, secretOf, whole } from '../../../node/cli/values.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { testFolder } from '../../support/folder.ts'

test('a whole number is taken at both ends of its range and not beyond', () => {
  const port = whole(0, 65_535)
  assert.deepEqual(['0', '65535', '0080'].map(port), [0, 65_535, 80])
  for (const text of ['-1', '65536', '1.5', '1e3', '', ' 1', '0x10', '99999999999']) assert.throws(() => port(text))
})

test('labels are name=value, and a value may hold another =', () => {
  assert.deepEqual(labelsOf(['zone=a', 'note=x=y', 'empty=']), { zone: 'a', note: 'x=y', empty: '' })
  for (const text of ['zone', '=a'])
    assert.throws(
      () => labelsOf([text]),
      (error) => isParleyError(error, 'MSG001'),
    )
})

test('the secret comes from the option, then from PARLEY_SECRET, then from the file that PARLEY_SECRET_FILE names', async (t) => {
  const folder = await testFolder(t)
  const [first, second] = [join(folder, 'first'), join(folder, 'second')]
  await writeFile(first, 'one\n', { mode: 0o600 })
  await writeFile(second, 'two\n', { mode: 0o600 })
  const env = { PARLEY_SECRET: 'three', PARLEY_SECRET_FILE: second }
  assert.equal(await secretOf([first], env), 'one')
  assert.equal(await secretOf(undefined, env), 'three')
  assert.equal(await secretOf(undefined, { ...env, PARLEY_SECRET: '' }), 'two')
  assert.equal(await secretOf(undefined, {}), undefined)
  // While it is changed.
  assert.deepEqual(await secretOf([first, second], env), ['one', 'two'])
  assert.deepEqual(await secretOf([], { ...env, PARLEY_SECRET_OLD: 'four' }), ['three', 'four'])
  assert.equal(await secretOf([], { PARLEY_SECRET_OLD: 'four' }), undefined)
  await assert.rejects(secretOf([first, second, first], env), (error) => isParleyError(error, 'MSG001'))
})

test('the input of a call is JSON, an empty object unless given', async () => {
  assert.deepEqual(await inputOf('[1,"two"]'), [1, 'two'])
  assert.deepEqual(await inputOf(undefined), {})
  await assert.rejects(inputOf('{text}'), (error) => isParleyError(error, 'MSG001'))
})
