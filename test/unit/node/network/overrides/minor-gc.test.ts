import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { createMinorGc } from '../../../../../node/network/overrides/minor-gc.ts'

const MIB = 1 << 20
const execute = promisify(execFile)

describe('young buffers', () => {
  const watch = (costMs: number) => {
    const state = { nowMs: 0, collections: 0 }
    const buffers = createMinorGc(
      () => state.nowMs,
      () => (options) => {
        assert.deepEqual(options, { type: 'minor' })
        state.collections += 1
        state.nowMs += costMs
      },
    )
    return { state, buffers }
  }

  it('are collected once for each 8 MiB', () => {
    const { state, buffers } = watch(1)
    buffers.allocated(8 * MIB - 64 * 1024)
    assert.equal(state.collections, 0)
    buffers.allocated(64 * 1024)
    assert.equal(state.collections, 1)
    state.nowMs += 1_000
    for (let at = 0; at < 16; at += 1) buffers.allocated(MIB / 2)
    assert.equal(state.collections, 2)
    state.nowMs += 1_000
    for (let at = 0; at < 1024; at += 1) buffers.allocated(32 * 1024 - 1)
    assert.equal(state.collections, 2, 'small pieces are left to the engine')
  })

  it('take at most a sixth of the time, whatever a collection costs', () => {
    const { state, buffers } = watch(20)
    let spentMs = 0
    while (state.nowMs < 10_000) {
      const before = state.collections
      buffers.allocated(MIB)
      spentMs += (state.collections - before) * 20
      state.nowMs += 1
    }
    assert.ok(spentMs > 1_000 && spentMs <= 10_000 / 6 + 20, `${spentMs} ms`)
  })

  it('are left to the engine where it has no such collection', () => {
    let asked = 0
    const buffers = createMinorGc(
      () => 0,
      () => {
        asked += 1
        return undefined
      },
    )
    for (let at = 0; at < 100; at += 1) buffers.allocated(8 * MIB)
    assert.equal(asked, 1)
  })

  it('are looked after anew once that is allowed, with the right to touch the flags', () => {
    const asked: boolean[] = []
    const buffers = createMinorGc(
      () => 0,
      (mayTouchFlags) => {
        asked.push(mayTouchFlags)
        return undefined
      },
    )
    buffers.allocated(8 * MIB)
    buffers.enable()
    buffers.enable()
    for (let at = 0; at < 3; at += 1) buffers.allocated(8 * MIB)
    assert.deepEqual(asked, [false, true])
  })

  /** How many minor collections 8 MiB bring about, and whether the program sees gc(). */
  const inProcess = async (enables: boolean, flags: readonly string[] = []): Promise<unknown> => {
    const module = new URL('../../../../../node/network/overrides/minor-gc.ts', import.meta.url)
    const program = `
      import { constants, PerformanceObserver } from 'node:perf_hooks'
      import { runInNewContext } from 'node:vm'
      import { minorGc } from ${JSON.stringify(module.href)}
      let minor = 0
      const observer = new PerformanceObserver((list) => {
        for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) minor += 1
      })
      observer.observe({ entryTypes: ['gc'] })
      ${enables ? 'minorGc.enable()' : ''}
      minorGc.allocated(8 << 20)
      await new Promise((resolve) => setTimeout(resolve, 20))
      console.log(JSON.stringify([minor, typeof globalThis.gc, runInNewContext('typeof gc')]))
    `
    const { stdout } = await execute(process.execPath, [...flags, '--input-type=module', '-e', program])
    return JSON.parse(stdout)
  }

  it('are collected by the engine itself, and the program gets no gc() by it', async () => {
    assert.deepEqual(await inProcess(true), [1, 'undefined', 'undefined'])
  })

  it('are left alone in a program that did not ask for it, and need no asking where it has gc() already', async () => {
    const [without, withFlag] = await Promise.all([inProcess(false), inProcess(false, ['--expose-gc'])])
    assert.deepEqual(without, [0, 'undefined', 'undefined'])
    assert.deepEqual(withFlag, [1, 'function', 'function'])
  })
})
