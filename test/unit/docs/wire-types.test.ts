/**
 * The list of all that goes over the wire (test/docs/wire-types.ts), and the document made from it, against the sources and
 * against what a node serves: what is in one and not in the other is named.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as z from 'zod'
import { makeSecret } from '../../../node/index.ts'
import { wireId } from '../../../protocols/define.ts'
import { createAttacker } from '../../attack/raw/attacker.ts'
import { ASYNC_API, ROOT } from '../../docs/pages.ts'
import { EVENTS, JOURNAL_KINDS, PROTOCOLS } from '../../docs/wire-types.ts'
import { testFolder } from '../../support/folder.ts'
import { startMesh, stopMeshes } from '../../support/meshes.ts'
import { until } from '../../support/until.ts'

after(stopMeshes)

const Document = z.object({
  channels: z.record(
    z.string(),
    z.looseObject({
      address: z.string().nullable(),
      'x-transport': z.looseObject({ kind: z.string(), topic: z.string().optional(), version: z.string().optional() }),
    }),
  ),
  operations: z.record(z.string(), z.unknown()),
  components: z.object({ messages: z.record(z.string(), z.unknown()) }),
})
const document = Document.parse(JSON.parse(readFileSync(join(ROOT, ASYNC_API), 'utf8')))
const channels = Object.values(document.channels)
const ofKind = (kind: string) => channels.filter((channel) => channel['x-transport'].kind === kind)

/** Definitions that are made while a program runs: by its own types. */
const OF_PROGRAMS = [
  'node/cli/commands/messaging/serve-command.ts defineProtocol',
  'node/control/call-target.ts defineProtocol',
  'protocols/command/command-definition.ts defineProtocol',
]
const DEFINED = /\bdefine(Protocol|Event|JournalCommand)\(\{/g
const EXPORTED = /^export const (\w+) = define(?:Protocol|Event|JournalCommand)\(\{/gm

const sources = globSync('{protocols,discovery,node}/**/*.ts', { cwd: ROOT })
  .sort()
  .map((path) => ({ path, source: readFileSync(join(ROOT, path), 'utf8') }))

type Defined = { readonly name?: string; readonly version?: string; readonly topic?: string; readonly methods?: object }

/** All that modules define and export, with what it is. */
const defined = async (): Promise<{ protocols: string[]; events: string[]; kinds: string[] }> => {
  const found = { protocols: [] as string[], events: [] as string[], kinds: [] as string[] }
  for (const { path, source } of sources)
    for (const [, name = ''] of source.matchAll(EXPORTED)) {
      const module: Record<string, Defined> = await import(pathToFileURL(join(ROOT, path)).href)
      const { name: called = '', version = '', topic, methods } = module[name] ?? {}
      if (topic !== undefined) found.events.push(`${topic} ${version}`)
      else if (methods !== undefined) found.protocols.push(`${wireId({ name: called, version })} ${version}`)
      else found.kinds.push(called)
    }
  return found
}

describe('what the sources define', () => {
  test('is exported by the module that defines it, so that it can be found', () => {
    const hidden = sources.flatMap(({ path, source }) => {
      const exported = [...source.matchAll(EXPORTED)].length
      return [...source.matchAll(DEFINED)].slice(exported).map(([, what]) => `${path} define${what}`)
    })
    assert.deepEqual(hidden, OF_PROGRAMS)
  })

  test('is on the list: protocols, events, and commands of the journal', async () => {
    const { protocols, events, kinds } = await defined()
    assert.ok(protocols.length > 10 && events.length >= 5 && kinds.length >= 6)
    assert.deepEqual(
      protocols.sort(),
      PROTOCOLS.filter(({ protocol }) => protocol.name !== 'command-type')
        .map(({ protocol }) => `${wireId(protocol)} ${protocol.version}`)
        .sort(),
    )
    assert.deepEqual(events.sort(), EVENTS.map(({ definition }) => `${definition.topic} ${definition.version}`).sort())
    // A session is opened by no kind.
    assert.deepEqual([...kinds, 'session.open'].sort(), JOURNAL_KINDS.map(({ name }) => name).sort())
  })

  test('is in the document, and the document has nothing else', async () => {
    const { protocols, events, kinds } = await defined()
    const versioned = ({ address, 'x-transport': { version } }: (typeof channels)[number]): string =>
      `${address} ${version}`
    const streams = ofKind('libp2p-stream').map(versioned)
    assert.deepEqual(streams.filter((one) => !one.includes('{type}')).sort(), protocols.sort())
    const told = ofKind('gossipsub').flatMap(({ 'x-transport': { pattern, version } }) =>
      pattern === undefined ? [] : [`${pattern} ${version}`],
    )
    assert.deepEqual(told.sort(), events.sort())
    const commands = Object.keys(document.operations).flatMap((name) => /^journal\.submit\.(.+)$/.exec(name)?.[1] ?? [])
    assert.deepEqual(commands.sort(), [...kinds, 'session.open'].sort())
  })

  test('has each method in the document, both ways', () => {
    for (const { protocol } of PROTOCOLS)
      for (const [name, method] of Object.entries(protocol.methods)) {
        const of = `${protocol.name === 'command-type' ? 'command' : protocol.name}.${name}`
        assert.ok(of in document.operations, of)
        assert.ok(`${of}.request` in document.components.messages, of)
        const answer = 'response' in method ? 'response' : 'stream' in method ? 'item' : undefined
        if (answer !== undefined) assert.ok(`${of}.${answer}` in document.components.messages, `${of}.${answer}`)
      }
  })
})

describe('what a node serves', () => {
  test('are the protocols of the document, and no others', async (t) => {
    const dataDir = await testFolder(t)
    const { mesh } = await startMesh({ name: 'shown', dataDir, secret: makeSecret(), control: true, debug: 0 })
    await mesh.commands.register({ type: 'shown.command', parameters: z.unknown() }, () => null)
    const attacker = await createAttacker('another mesh')
    try {
      const { remotePeer } = await attacker.dial(mesh.self.addresses[0] ?? '')
      const served = async (): Promise<string[]> => (await attacker.libp2p.peerStore.get(remotePeer)).protocols
      await until('it says what it serves', async () => (await served()).length > 10)
      const own = (await served()).filter((id) => id.startsWith('/parley/'))
      const known = ofKind('libp2p-stream').map(({ address }) =>
        (address ?? '').replace('{type}', 'shown--command').replace('{major}', '1'),
      )
      // The probe is of the test.
      assert.deepEqual(own.filter((id) => id !== '/parley/probe/1').sort(), known.sort())
    } finally {
      await attacker.stop()
    }
  })
})
