import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'

/** As much of the compose file as is looked at below; the smoke test has compose itself check the rest. */
const Service = z.object({
  command: z.string(),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  restart: z.literal('unless-stopped'),
  stop_grace_period: z.string(),
  mem_limit: z.string(),
  pids_limit: z.number(),
  secrets: z.array(z.string()),
  volumes: z.array(z.string()).default([]),
  tmpfs: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  networks: z.union([z.array(z.string()), z.record(z.string(), z.object({ aliases: z.array(z.string()) }))]),
  hostname: z.string().optional(),
  environment: z.record(z.string(), z.string()),
  logging: z.object({ driver: z.string(), options: z.record(z.string(), z.string()) }),
  deploy: z.object({ replicas: z.number() }).optional(),
})
const Compose = z.object({
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
})

const text = await readFile(new URL('../../../docker/compose.yaml', import.meta.url), 'utf8')
const { services, volumes } = Compose.parse(parse(text, { merge: true }))
const seeds = Object.entries(services).filter(([name]) => name.startsWith('seed-'))

test('three seeds share a name in the DNS, and each keeps its identity in a volume of its own', () => {
  assert.equal(seeds.length, 3)
  for (const [name, seed] of seeds) {
    assert.deepEqual(seed.networks, { mesh: { aliases: ['parley-seed'] } })
    assert.deepEqual(seed.volumes, [`${name}:/data`])
    assert.match(seed.command, new RegExp(`^up --name ${name} .* --voter auto `), 'a place of its own among the voters')
    assert.equal(seed.hostname, name)
  }
  assert.deepEqual(
    Object.keys(volumes),
    seeds.map(([name]) => name),
  )
})

test('agents keep nothing on disk, and their number is theirs to set', () => {
  const { agent } = services
  assert.ok(agent !== undefined)
  assert.deepEqual(agent.volumes, [])
  assert.match(agent.tmpfs[0] ?? '', /^\/data:uid=10001,gid=10001,mode=0700,size=64m$/)
  assert.ok(Number(agent.environment.PARLEY_LIMITS__MAX_DISK_BYTES) * 4 <= 64 * 2 ** 20, 'its quota fits')
  assert.match(agent.command, / --voter never /)
  assert.equal(agent.deploy?.replicas, 3)
})

test('logs are kept within a bound, and nodes within a quota', () => {
  for (const { logging, environment } of Object.values(services)) {
    assert.deepEqual(logging, { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } })
    assert.ok(Number(environment.PARLEY_LIMITS__MAX_DISK_BYTES) > 0)
    assert.equal(environment.PARLEY_SECRET_FILE, '/run/secrets/mesh-secret')
  }
})

test('all nodes join by the name of the seeds', () => {
  for (const { command } of Object.values(services)) assert.match(command, / --join \/dns4\/parley-seed\/tcp\/4001 /)
})

test('the only port that is published is a debug page, on loopback of the host', () => {
  const published = Object.values(services).flatMap(({ ports }) => ports)
  assert.equal(published.length, 1)
  assert.match(published[0] ?? '', /^127\.0\.0\.1:\$\{PARLEY_DEBUG_PORT:-8090\}:8090$/)
})
