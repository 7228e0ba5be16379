import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { z } from 'zod'
import { createProcesses } from '../../bench/processes.ts'

const directory = mkdtempSync(join(tmpdir(), 'parley-bench-test-'))
const processes = createProcesses(directory)
after(() => {
  processes.killAll()
  rmSync(directory, { recursive: true, force: true })
})
const LIMIT_MS = 20_000

test('two ends in two processes measure a system over real TCP', { timeout: 60_000 }, async () => {
  const responder = processes.start('rpc', 'raw-tcp', 'responder')
  const caller = processes.start('rpc', 'raw-tcp', 'caller')
  const port = await responder.ask('start', null, z.string(), LIMIT_MS)
  await caller.ask('start', port, z.null(), LIMIT_MS)
  const load = { bytes: 256, inFlight: 4, warmUpMs: 0, durationMs: 20 }
  const figures = await caller.ask('run', load, z.object({ calls: z.number() }), LIMIT_MS)
  assert.ok(figures.calls >= 4)
  assert.notDeepEqual(caller.pids(), responder.pids())
  assert.equal(caller.pids().length, 1)

  await assert.rejects(caller.ask('dance', null, z.null(), LIMIT_MS), /knows no "dance"/)
  await assert.rejects(caller.ask('run', { bytes: 'many' }, z.null(), LIMIT_MS), /bytes/)
  await processes.stopAll()
  await assert.rejects(caller.ask('run', load, z.null(), LIMIT_MS), /has ended/)
})

test('an end that is killed fails the question that was open', { timeout: 60_000 }, async () => {
  const responder = processes.start('rpc', 'raw-tcp', 'responder')
  const open = responder.ask('start', null, z.string(), LIMIT_MS)
  processes.killAll()
  await assert.rejects(open, /ended with SIGKILL/)
})

test('an end that does not answer in time fails the question', { timeout: 60_000 }, async () => {
  const responder = processes.start('rpc', 'raw-tcp', 'responder')
  await assert.rejects(responder.ask('start', null, z.string(), 1), /did not start within 1 ms/)
  await processes.stopAll()
})

test('a role that does not exist is named', { timeout: 60_000 }, async () => {
  const stranger = processes.start('rpc', 'raw-tcp', 'juggler')
  await assert.rejects(stranger.ask('start', null, z.null(), LIMIT_MS), /cannot run rpc raw-tcp juggler/)
  await processes.stopAll()
})
