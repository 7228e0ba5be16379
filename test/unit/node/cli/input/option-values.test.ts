import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLabels, readJsonInput, wholeNumber } from '../../../../../node/cli/input/option-values.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

test('a whole number is taken at both ends of its range and not beyond', () => {
  const port = wholeNumber(0, 65_535)
  assert.deepEqual(['0', '65535', '0080'].map(port), [0, 65_535, 80])
  for (const text of ['-1', '65536', '1.5', '1e3', '', ' 1', '0x10', '99999999999']) assert.throws(() => port(text))
})

test('labels are name=value, and a value may hold another =', () => {
  assert.deepEqual(parseLabels(['zone=a', 'note=x=y', 'empty=']), { zone: 'a', note: 'x=y', empty: '' })
  for (const text of ['zone', '=a'])
    assert.throws(
      () => parseLabels([text]),
      (error) => isParleyError(error, 'MSG001'),
    )
})

test('the input of a call is JSON, an empty object unless given', async () => {
  assert.deepEqual(await readJsonInput('[1,"two"]'), [1, 'two'])
  assert.deepEqual(await readJsonInput(undefined), {})
  await assert.rejects(readJsonInput('{text}'), (error) => isParleyError(error, 'MSG001'))
})
