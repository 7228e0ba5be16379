import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Processes } from '../../bench/processes.ts'
import { runSuite } from '../../bench/run.ts'
import type { StartEnd, Suite } from '../../bench/suite.ts'

/** Starts nothing and tells which systems were asked for; the suite below measures without any end. */
const recorder = () => {
  const started: string[] = []
  let stops = 0
  const processes: Processes = {
    start: (_suite, system) => {
      started.push(system)
      return {
        pids: () => [],
        ask: () => Promise.reject(new Error('no end here')),
        stop: async () => {},
        kill: async () => {},
      }
    },
    stopAll: async () => {
      stops++
    },
    killAll: () => {},
  }
  return { processes, started, stops: () => stops }
}

const suiteOf = (systems: readonly string[], measure: (start: StartEnd) => Promise<number>): Suite => ({
  name: 'x',
  about: '',
  systems,
  measure: async (start) => [{ case: 'c', metric: 'm', unit: '', value: await measure(start) }],
  floors: () => [],
})

const run = (suite: Suite, processes: Processes, more: { only?: string[]; peersMissing?: string } = {}) =>
  runSuite({ suite, rounds: 2, only: more.only, peersMissing: more.peersMissing }, processes, () => {})

test('systems run in turn, round after round, and everything is stopped after each', async () => {
  const { processes, started, stops } = recorder()
  const suite = suiteOf(['raw-tcp', 'libp2p-gossipsub'], async (start) => {
    start('any')
    return 1
  })
  const { ledger, skipped } = await run(suite, processes)
  assert.deepEqual(started, ['raw-tcp', 'libp2p-gossipsub', 'raw-tcp', 'libp2p-gossipsub'])
  assert.equal(stops(), 4)
  assert.deepEqual(skipped, [])
  assert.deepEqual(ledger.values('raw-tcp', 'c', 'm'), [1, 1])
})

test('the systems of a mirrored suite take turns case by case, in the other order in every second round', async () => {
  const { processes, started, stops } = recorder()
  const cases: string[] = []
  const suite: Suite = {
    ...suiteOf(['raw-tcp', 'libp2p-gossipsub'], async () => 1),
    mirrored: true,
    async measure(start, pause) {
      start('any')
      const system = started.at(-1) ?? ''
      for (const name of ['one', 'two']) {
        await pause()
        cases.push(`${system} ${name} begins`)
        await setImmediate()
        cases.push(`${system} ${name} ends`)
      }
      return [{ case: 'c', metric: 'm', unit: '', value: 1 }]
    },
  }
  const { ledger } = await run(suite, processes)
  const turn = (system: string, name: string): string[] => [`${system} ${name} begins`, `${system} ${name} ends`]
  const round = (...systems: string[]): string[] =>
    ['one', 'two'].flatMap((name) => systems.flatMap((system) => turn(system, name)))
  assert.deepEqual(cases, [...round('raw-tcp', 'libp2p-gossipsub'), ...round('libp2p-gossipsub', 'raw-tcp')])
  assert.equal(stops(), 2)
  assert.deepEqual(ledger.values('raw-tcp', 'c', 'm'), [1, 1])
})

test('one of a mirrored suite that fails leaves the other its turns', async () => {
  const { processes } = recorder()
  const suite: Suite = {
    ...suiteOf(['raw-tcp', 'libp2p-gossipsub'], async () => 1),
    mirrored: true,
    async measure(start, pause) {
      const end = start('any')
      await pause()
      assert.deepEqual(end.pids(), [])
      return [{ case: 'c', metric: 'm', unit: '', value: 1 }]
    },
  }
  const failing: Processes = {
    ...processes,
    start: (name, system, role) => {
      if (system === 'raw-tcp') throw new Error('broken')
      return processes.start(name, system, role)
    },
  }
  const { ledger, skipped } = await run(suite, failing)
  assert.deepEqual(skipped, [{ system: 'raw-tcp', why: 'failed in round 1: broken' }])
  assert.deepEqual(ledger.values('libp2p-gossipsub', 'c', 'm'), [1, 1])
})

test('a system that the suite cannot measure yet is not started, and is named with the reason', async () => {
  const { processes, started } = recorder()
  const suite = suiteOf(['raw-tcp', 'libp2p-gossipsub'], async (start) => {
    start('any')
    return 1
  })
  const { skipped } = await run({ ...suite, notYet: new Map([['raw-tcp', 'not built yet']]) }, processes)
  assert.deepEqual(skipped, [{ system: 'raw-tcp', why: 'not built yet' }])
  assert.deepEqual(started, ['libp2p-gossipsub', 'libp2p-gossipsub'])
})

test('a peer that fails once is tried again and stays in the run', async () => {
  const { processes, stops } = recorder()
  let tries = 0
  const suite = suiteOf(['raw-tcp'], async () => {
    if (++tries === 1) throw new Error('refused')
    return tries
  })
  const { ledger, skipped } = await run(suite, processes)
  assert.deepEqual(ledger.values('raw-tcp', 'c', 'm'), [2, 3])
  assert.deepEqual(skipped, [])
  assert.equal(stops(), 3)
})

test('a peer that fails twice is out of the run, named with the reason, and its floors lack the round', async () => {
  const { processes } = recorder()
  let tries = 0
  const suite = suiteOf(['raw-tcp'], async () => {
    tries++
    throw new Error('refused')
  })
  const { ledger, skipped } = await run(suite, processes)
  assert.equal(tries, 2)
  assert.deepEqual(skipped, [{ system: 'raw-tcp', why: 'failed in round 1: refused' }])
  assert.deepEqual(ledger.values('raw-tcp', 'c', 'm'), [undefined, undefined])
})

test('peers whose clients are missing are skipped with that reason and nothing of them is started', async () => {
  const { processes, started } = recorder()
  const suite = suiteOf(['moleculer', 'raw-tcp'], async (start) => {
    start('any')
    return 1
  })
  const { skipped } = await run(suite, processes, { peersMissing: 'npm could not' })
  assert.deepEqual(skipped, [{ system: 'moleculer', why: 'npm could not' }])
  assert.deepEqual(started, ['raw-tcp', 'raw-tcp'])
})

test('systems that were not chosen are named as such', async () => {
  const { processes } = recorder()
  const { skipped } = await run(
    suiteOf(['raw-tcp', 'libp2p-gossipsub'], async () => 1),
    processes,
    {
      only: ['raw-tcp'],
    },
  )
  assert.deepEqual(skipped, [{ system: 'libp2p-gossipsub', why: 'not chosen by --systems' }])
})
