import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { abortable, delay, Fifo, onAbort, pause, waitFor, within } from '../../../protocols/async.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

const aborted = (reason: unknown): AbortSignal => AbortSignal.abort(reason)

const never = (): Promise<never> => new Promise(() => {})

/** Timers of which a test may see how many run. */
const countedTime = () => {
  const time = createVirtualTime()
  let running = 0
  const after = (delayMs: number, fn: () => void) => {
    let isOpen = true
    const close = (): void => {
      if (isOpen) running -= 1
      isOpen = false
    }
    running += 1
    const stop = time.after(delayMs, () => {
      close()
      fn()
    })
    return () => {
      close()
      stop()
    }
  }
  return { time, timers: { after }, running: () => running }
}

describe('onAbort', () => {
  it('calls once, when the signal is aborted, and listens no more then', () => {
    const controller = new AbortController()
    let calls = 0
    onAbort(controller.signal, () => {
      calls += 1
    })
    assert.equal(calls, 0)
    assert.equal(listeners(controller.signal), 1)
    controller.abort()
    controller.abort()
    assert.equal(calls, 1)
    assert.equal(listeners(controller.signal), 0)
  })

  it('calls right away where the signal is aborted already', () => {
    let calls = 0
    const signal = aborted(new Error('too late'))
    const stop = onAbort(signal, () => {
      calls += 1
    })
    assert.equal(calls, 1)
    stop()
    assert.equal(listeners(signal), 0)
  })

  it('does not call after its stop, which may be called twice', () => {
    const controller = new AbortController()
    const stop = onAbort(controller.signal, () => assert.fail('it was stopped'))
    stop()
    stop()
    assert.equal(listeners(controller.signal), 0)
    controller.abort()
  })

  it('never calls without a signal', () => {
    onAbort(undefined, () => assert.fail('there is no signal'))()
  })
})

describe('abortable', () => {
  it('is the promise itself without a signal', () => {
    const promise = Promise.resolve(1)
    assert.equal(abortable(promise, undefined), promise)
  })

  it('settles as the promise does, and leaves no listener', async () => {
    const { signal } = new AbortController()
    assert.equal(await abortable(Promise.resolve(7), signal), 7)
    await assert.rejects(abortable(Promise.reject(new Error('no')), signal), /^Error: no$/)
    assert.equal(listeners(signal), 0)
  })

  it('rejects with the reason of the signal where that comes first', async () => {
    const controller = new AbortController()
    const reason = new Error('given up')
    const waiting = abortable(never(), controller.signal)
    assert.equal(listeners(controller.signal), 1)
    controller.abort(reason)
    await assert.rejects(waiting, (error) => error === reason)
    assert.equal(listeners(controller.signal), 0)
  })

  it('rejects where the signal is aborted already, and hears what becomes of the promise', async () => {
    const reason = new Error('given up')
    // An unhandled rejection would fail this test.
    await assert.rejects(abortable(Promise.reject(new Error('no')), aborted(reason)), (error) => error === reason)
    await assert.rejects(abortable(Promise.resolve(1), aborted(reason)), (error) => error === reason)
  })
})

describe('waitFor', () => {
  it('undoes what it began, once, whatever ends it', async () => {
    const ends: Record<string, (it: { resolve(): void; reject(error: unknown): void; abort(): void }) => void> = {
      resolve: ({ resolve }) => resolve(),
      reject: ({ reject }) => reject(new Error('no')),
      abort: ({ abort }) => abort(),
      all: ({ resolve, reject, abort }) => {
        resolve()
        reject(new Error('no'))
        abort()
        resolve()
      },
    }
    for (const [name, end] of Object.entries(ends)) {
      const controller = new AbortController()
      let undone = 0
      const waiting = waitFor(controller.signal, (resolve, reject) => {
        setImmediate(() => end({ resolve, reject, abort: () => controller.abort() }))
        return () => {
          undone += 1
        }
      })
      assert.equal(listeners(controller.signal), 1)
      await waiting.catch(() => {})
      await new Promise(setImmediate)
      assert.equal(undone, 1, name)
      assert.equal(listeners(controller.signal), 0, name)
    }
  })

  it('undoes it and leaves no listener where it is over before it has begun', async () => {
    const { signal } = new AbortController()
    let undone = 0
    const value = await waitFor<number>(signal, (resolve) => {
      resolve(3)
      return () => {
        undone += 1
      }
    })
    assert.deepEqual([value, undone, listeners(signal)], [3, 1, 0])
  })

  it('begins nothing where the signal is aborted already', async () => {
    const reason = new Error('given up')
    const waiting = waitFor(aborted(reason), () => assert.fail('it began'))
    await assert.rejects(waiting, (error) => error === reason)
  })

  it('rejects with what its begin throws, and leaves no listener', async () => {
    const { signal } = new AbortController()
    await assert.rejects(
      waitFor(signal, () => {
        throw new Error('full')
      }),
      /^Error: full$/,
    )
    assert.equal(listeners(signal), 0)
  })

  it('has undone before whoever waits goes on', async () => {
    const order: string[] = []
    await waitFor(undefined, (resolve) => {
      setImmediate(resolve)
      return () => order.push('undone')
    })
    order.push('goes on')
    assert.deepEqual(order, ['undone', 'goes on'])
  })
})

describe('delay and pause', () => {
  it('take the time of their timers, which may be virtual', async () => {
    const { time, timers } = countedTime()
    await time.settled(delay(timers, 3_600_000), 3_600_000)
    assert.equal(time.now(), 3_600_000)
    await time.settled(pause(timers, 500, new AbortController().signal), 500)
    assert.equal(time.now(), 3_600_500)
  })

  it('leave no listener when their time is over', async () => {
    const { time, timers } = countedTime()
    const { signal } = new AbortController()
    const waits = [delay(timers, 10, signal), pause(timers, 10, signal)]
    assert.equal(listeners(signal), 2)
    await time.run(10)
    await Promise.all(waits)
    assert.equal(listeners(signal), 0)
  })

  it('end at once with the signal: a delay rejects, a pause resolves, and no timer is left', async () => {
    const { timers, running } = countedTime()
    const controller = new AbortController()
    const reason = new Error('given up')
    const [one, other] = [delay(timers, 10, controller.signal), pause(timers, 10, controller.signal)]
    assert.equal(running(), 2)
    controller.abort(reason)
    await assert.rejects(one, (error) => error === reason)
    await other
    assert.equal(running(), 0)
  })

  it('start no timer where the signal is aborted already', async () => {
    const { timers, running } = countedTime()
    const reason = new Error('given up')
    await pause(timers, 10, aborted(reason))
    await assert.rejects(delay(timers, 10, aborted(reason)), (error) => error === reason)
    assert.equal(running(), 0)
  })
})

describe('within', () => {
  it('says whether the promise was fulfilled in time, and leaves no timer', async () => {
    const { time, timers, running } = countedTime()
    assert.equal(await within(timers, 100, Promise.resolve(5)), true)
    assert.equal(running(), 0)
    assert.equal(await time.settled(within(timers, 100, never()), 100), false)
    assert.equal(running(), 0)
  })

  it('rejects as the promise does in time; what it is rejected with later is dropped', async () => {
    const { time, timers, running } = countedTime()
    await assert.rejects(within(timers, 100, Promise.reject(new Error('no'))), /^Error: no$/)
    assert.equal(running(), 0)
    const late = Promise.withResolvers<void>()
    assert.equal(await time.settled(within(timers, 100, late.promise), 100), false)
    late.reject(new Error('nobody hears this'))
    await new Promise(setImmediate)
  })
})

describe('Fifo', () => {
  it('gives back in order what an array would, however it is used', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), count: fc.nat(3_000) }),
      fc.record({ kind: fc.constant('take' as const), count: fc.nat(3_000) }),
      fc.record({ kind: fc.constant('clear' as const), count: fc.constant(0) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const fifo = new Fifo<number>()
        let array: number[] = []
        let next = 0
        for (const { kind, count } of steps) {
          if (kind === 'clear') {
            fifo.clear()
            array = []
          }
          for (let i = 0; i < count; i += 1) {
            if (kind === 'put') {
              assert.equal(fifo.put(next), true)
              array.push(next)
              next += 1
            } else assert.equal(fifo.take(), array.shift())
          }
          assert.deepEqual([fifo.size(), fifo.first()], [array.length, array[0]])
        }
      }),
      { numRuns: 50 },
    )
  })

  it('takes as many as it may hold, and refuses one more', () => {
    const fifo = new Fifo<string>(2)
    assert.deepEqual([fifo.put('a'), fifo.put('b'), fifo.put('c')], [true, true, false])
    assert.equal(fifo.size(), 2)
    assert.equal(fifo.take(), 'a')
    assert.equal(fifo.put('d'), true)
    assert.deepEqual([fifo.take(), fifo.take(), fifo.take()], ['b', 'd', undefined])
  })

  it('holds nothing where it may hold nothing', () => {
    const fifo = new Fifo<number>(0)
    assert.equal(fifo.put(1), false)
    assert.equal(fifo.size(), 0)
  })
})
