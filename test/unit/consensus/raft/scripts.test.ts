/** The scripts of test/sim/scripts/: each shows a rule of the algorithm, step by step, with what comes of it beside it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemOf, readScript, scriptNames } from '../../../sim/script/run-all.ts'
import { tell } from '../../../sim/script/script.ts'

const names = scriptNames()

test('there are scripts for the rules of the algorithm', () => {
  assert.ok(names.length >= 40, `${names.length} scripts`)
})

for (const name of names)
  test(`script ${name} comes out as it is written`, () => {
    assert.equal(
      problemOf(tell(readScript(name))),
      undefined,
      'npm run sim -- --scripts --rewrite shows what has changed',
    )
  })
