import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, test } from 'node:test'
import { z } from 'zod'
import { buildEnds } from '../../bench/built.ts'
import { createProcesses } from '../../bench/processes.ts'

const LIMIT_MS = 30_000

test('built ends run and measure like those from source', { timeout: 90_000 }, async () => {
  const { directory, end } = await buildEnds()
  const processes = createProcesses(directory, end)
  after(() => {
    processes.killAll()
    rmSync(directory, { recursive: true, force: true })
  })
  const host = processes.start('join', 'raw-tcp', 'host')
  const hello = z.object({ address: z.string(), hasMembers: z.boolean() })
  const { address, hasMembers } = await host.ask('start', null, hello, LIMIT_MS)
  assert.equal(hasMembers, false)
  const joiner = processes.start('join', 'raw-tcp', 'joiner')
  const ready = z.object({ readyAtMs: z.number(), cpuMs: z.number() })
  const { cpuMs } = await joiner.ask('start', address, ready, LIMIT_MS)
  assert.ok(cpuMs > 0)
  await processes.stopAll()
})
