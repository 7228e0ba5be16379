import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  createPoll,
  MAX_PAUSE_MS,
  PAUSES,
  type Poll,
  SOON_MS,
} from '../../../../../../../node/observe/dashboard/page/live/poll.ts'

const PERIOD_MS = 2_000

/** A page whose clock the test turns; each answer takes as long as it is told. */
const setUp = () => {
  let atMs = 0
  let isHidden = false
  const timers = new Set<{ at: number; fn: () => void }>()
  const seen = new Set<() => void>()
  const asked: number[] = []
  let answer: (() => void) | undefined
  const surroundings = {
    now: () => atMs,
    after(ms: number, fn: () => void) {
      const timer = { at: atMs + ms, fn }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    isHidden: () => isHidden,
    onSeen(fn: () => void) {
      seen.add(fn)
      return () => void seen.delete(fn)
    },
  }
  const ask = (): Promise<void> => {
    asked.push(atMs)
    return new Promise((resolve) => {
      answer = resolve
    })
  }
  const turnTo = async (ms: number): Promise<void> => {
    for (;;) {
      const [next] = [...timers].filter(({ at }) => at <= ms).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      timers.delete(next)
      atMs = Math.max(atMs, next.at)
      next.fn()
      await Promise.resolve()
    }
    atMs = ms
  }
  const page = {
    asked,
    timers,
    turnTo,
    /** The question that is on its way is answered. */
    async answer(): Promise<void> {
      answer?.()
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
    },
    show(hidden: boolean): void {
      isHidden = hidden
      for (const fn of seen) fn()
    },
    start: (): Poll => createPoll(surroundings, PERIOD_MS, ask),
    watchers: () => seen.size,
  }
  return page
}

describe('a question that the page asks again and again', () => {
  it('is asked at once, and then once in each period', async () => {
    const page = setUp()
    page.start()
    await page.answer()
    await page.turnTo(PERIOD_MS)
    await page.answer()
    await page.turnTo(2 * PERIOD_MS)
    assert.deepEqual(page.asked, [0, PERIOD_MS, 2 * PERIOD_MS])
  })

  it('is never asked twice at a time, and once more where something happened meanwhile', async () => {
    const page = setUp()
    const poll = page.start()
    poll.soon()
    poll.soon()
    await page.turnTo(50)
    assert.deepEqual(page.asked, [0])
    await page.answer()
    await page.turnTo(50 + SOON_MS)
    assert.deepEqual(page.asked, [0, 50 + SOON_MS])
  })

  it('is asked soon after something happened, however often it happens', async () => {
    const page = setUp()
    const poll = page.start()
    await page.answer()
    for (let ms = 1_000; ms < 1_000 + 3 * SOON_MS; ms += 10) {
      await page.turnTo(ms)
      poll.soon()
      if (page.asked.length > 1) break
    }
    assert.deepEqual(page.asked, [0, 1_000 + SOON_MS])
  })

  it('is asked less often where answers take long, whatever happens, and at last again where none comes', async () => {
    const page = setUp()
    const poll = page.start()
    await page.turnTo(1_000)
    await page.answer()
    poll.soon()
    const pauseMs = PAUSES * 1_000
    await page.turnTo(1_000 + pauseMs)
    assert.deepEqual(page.asked, [0, 1_000 + pauseMs - PERIOD_MS])

    await page.turnTo(60_000)
    await page.answer()
    await page.turnTo(60_000 + MAX_PAUSE_MS)
    assert.equal(page.asked.at(-1), 60_000 + MAX_PAUSE_MS)
  })

  it('is not asked while the page is hidden, and at once when it is seen again', async () => {
    const page = setUp()
    page.start()
    await page.answer()
    page.show(true)
    await page.turnTo(10 * PERIOD_MS)
    assert.deepEqual(page.asked, [0])
    page.show(false)
    assert.deepEqual(page.asked, [0, 10 * PERIOD_MS])
  })

  it('leaves nothing behind when it is stopped, also while it is asked', async () => {
    const page = setUp()
    const poll = page.start()
    poll.stop()
    await page.answer()
    poll.soon()
    await page.turnTo(10 * PERIOD_MS)
    assert.deepEqual([page.asked, page.timers.size, page.watchers()], [[0], 0, 0])
  })
})
