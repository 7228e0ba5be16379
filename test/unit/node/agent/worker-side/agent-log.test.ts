import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAgentLog, MAX_LINES } from '../../../../../node/agent/worker-side/agent-log.ts'

interface Line {
  level: string
  message: string
  fields: Record<string, unknown>
}

const start = () => {
  const lines: Line[] = []
  const taken: (() => void)[] = []
  const log = createAgentLog(() => ({
    request(body) {
      // The log writes nothing else.
      lines.push(body as Line)
      return new Promise<void>((resolve) => taken.push(resolve))
    },
  }))
  return { lines, log, take: () => taken.shift()?.() }
}

test('fields are made plain before they travel: they are cloned, and may hold a secret', () => {
  const { lines, log } = start()
  log.warn('odd', { fn: () => {}, secret: 'hush', error: new Error('broke') })
  assert.equal(lines[0]?.level, 'warn')
  assert.doesNotThrow(() => structuredClone(lines[0]))
  assert.ok(!JSON.stringify(lines).includes('hush'))
  assert.match(JSON.stringify(lines), /broke/)
})

test('as many lines as are allowed are on their way; what is more is left out, counted, and told with the next one', async () => {
  const { lines, log, take } = start()
  for (let n = 0; n < MAX_LINES; n += 1) log.info(`line ${n}`)
  assert.equal(lines.length, MAX_LINES)
  log.info('one more')
  log.error('and another')
  assert.equal(lines.length, MAX_LINES)
  take()
  await Promise.resolve()
  assert.equal(lines.length, MAX_LINES + 1)
  assert.deepEqual(lines.at(-1)?.fields, { suppressed: 2 })
})
