import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entriesOfFlags, type UpOptions } from '../../../../../node/cli/start/up-configuration.ts'

const shown = (options: UpOptions): [path: string, value: unknown, flag: string][] =>
  entriesOfFlags(options).map(({ path, value, origin }) => [
    path.join('.'),
    value,
    origin.kind === 'flag' ? origin.name : '',
  ])

test('the debug endpoint and the health listener have flags of the same kind, and one that wins over the configuration', () => {
  for (const key of ['debug', 'health'] as const) {
    assert.deepEqual(shown({ [`${key}Port`]: 8091, [`${key}Host`]: '0.0.0.0' }), [
      [`${key}.port`, 8091, `--${key}-port`],
      [`${key}.host`, '0.0.0.0', `--${key}-host`],
    ])
    assert.deepEqual(shown({ [key]: false }), [[key, false, `--no-${key}`]])
    // Commander says true where nothing was given.
    assert.deepEqual(shown({ [key]: true }), [])
  }
})

test('a flag that was not given says nothing', () => {
  assert.deepEqual(shown({}), [])
  assert.deepEqual(shown({ healthPort: 0 }), [['health.port', 0, '--health-port']])
})
