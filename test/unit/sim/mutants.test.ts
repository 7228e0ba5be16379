/** The deliberate bugs: `npm run sim -- --mutants` looks for them, which takes minutes; here whether they can be made. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../../docs/pages.ts'
import { patched } from '../../sim/mutants/mutant.ts'
import { COPIED, MUTANTS, sourceOf } from '../../sim/mutants.ts'
import { SCENARIOS } from '../../sim/scenarios.ts'

test('there are at least fifteen, each with a name of its own and something that is to find it', () => {
  assert.ok(MUTANTS.length >= 15, `${MUTANTS.length} mutants`)
  assert.equal(new Set(MUTANTS.map(({ bug }) => bug)).size, MUTANTS.length)
  for (const { bug, scenario = 'all' } of MUTANTS)
    assert.ok(scenario === 'scripts' || SCENARIOS[scenario] !== undefined, `${bug}: ${scenario}`)
})

test('what is copied is all that the simulator loads', () => {
  const loaded = globSync('test/sim/**/*.ts', { cwd: ROOT })
  const outside = new Set<string>()
  for (const path of loaded)
    for (const [, from = ''] of readFileSync(join(ROOT, path), 'utf8').matchAll(/ from '(\.[^']+)'/g)) {
      const to = relative(ROOT, resolve(ROOT, dirname(path), from))
      if (!COPIED.some((copied) => to.startsWith(copied))) outside.add(to)
    }
  assert.deepEqual([...outside], [])
  // What those stand on.
  for (const folder of ['protocols', 'node', 'discovery']) assert.ok(COPIED.includes(folder), folder)
})

test('each patch still fits its file, in one place', () => {
  const lost = MUTANTS.filter((mutant) => patched(sourceOf(mutant), mutant) === undefined)
  assert.deepEqual(
    lost.map(({ bug, file }) => `${file}: ${bug}`),
    [],
  )
})

test('a patch that is nowhere, or in two places, does not fit', () => {
  const mutant = { bug: 'b', file: 'f', find: 'one', replace: 'two' }
  assert.equal(patched('zero one three', mutant), 'zero two three')
  assert.equal(patched('zero three', mutant), undefined)
  assert.equal(patched('one one', mutant), undefined)
})
