/** What is too large for one frame is refused before it is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameBuffer, MAX_PAYLOAD } from '../../../../../node/store/log/log-frames.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

test('a record that could not be read again is never written', () => {
  assert.throws(
    () => frameBuffer(MAX_PAYLOAD + 1),
    (error) => isParleyError(error, 'COM003') && error.hint !== undefined,
  )
})
