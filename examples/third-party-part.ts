/**
 * A part of somebody else's: polls in which each node has one vote. It brings options, a protocol, a decision of the
 * journal, a figure and a view; a node gets it by one line, `parts: [poll]`, and loads it when somebody votes.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import {
  answers,
  createMesh,
  defineJournalCommand,
  definePart,
  defineProtocol,
  implementPart,
  isParleyError,
  type Loading,
  makeSecret,
  ParleyError,
  partPrefix,
  tokens,
} from '../node/index.ts'

const VOTES = partPrefix('acme/poll')
const Vote = z.object({ poll: z.string().max(40), choice: z.string().max(40) })

/** What the voters of the mesh decide: the same on each of them, with one vote for each node. */
const vote = defineJournalCommand({
  name: 'acme/poll.vote',
  level: 1,
  input: Vote,
  output: z.object({ votes: z.int() }),
  apply(journal, { poll, choice }, { by }) {
    const key = `${VOTES}${poll}/${by}`
    if (journal.get(key) !== undefined)
      throw new ParleyError('STA003', `${by} has voted`, { hint: 'one vote each', details: { reason: 'exists' } })
    journal.put(key, choice)
    return { votes: journal.keys(`${VOTES}${poll}/`).length }
  },
})

/** What other agents may ask. */
const pollProtocol = defineProtocol({
  name: 'acme-poll',
  version: '1.0.0',
  methods: {
    results: {
      description: 'How many votes each choice has',
      request: z.object({ poll: z.string() }),
      response: z.record(z.string(), z.int()),
      idempotent: true,
    },
  },
})

/** What a program gets by `mesh.part(poll)`. */
interface Polls {
  vote(poll: string, choice: string): Promise<number>
  results(poll: string): Promise<Record<string, number>>
}

export const poll = definePart({
  name: 'acme/poll',
  description: 'Polls in which each node has one vote.',
  needs: { journal: tokens.journal },
  options: z.strictObject({ choices: z.array(z.string()).min(2).describe('What one may vote for.') }),
  protocols: [pollProtocol],
  journal: { level: 1, maxBytes: 1_000_000, kinds: [vote] },
  figures: { votes_total: { kind: 'counter', help: 'Votes that this node gave' } },
  views: { votes: { title: 'Votes', form: 'table' } },
  // It may be a module of its own: (): Loading<Polls> => import('./poll.ts')
  load: async (): Loading<Polls> => ({ default: implementation }),
})

const implementation = implementPart<typeof poll>({
  start({ journal }, options) {
    let { choices } = options
    let given = 0
    const votes = async (prefix: string) => (await journal.list(`${VOTES}${prefix}`)).records
    const results = async (name: string): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {}
      for (const { value } of await votes(`${name}/`)) counts[String(value)] = (counts[String(value)] ?? 0) + 1
      return counts
    }
    return {
      api: {
        async vote(name, choice) {
          if (!choices.includes(choice))
            throw new ParleyError('MSG001', `${choice} is no choice`, { hint: `vote for ${choices.join(' or ')}` })
          const { result } = await journal.submit(vote, { poll: name, choice })
          given += 1
          return result.votes
        },
        results,
      },
      handlers: [answers(pollProtocol, { results: ({ poll: name }) => results(name) })],
      figures: () => ({ votes_total: given }),
      views: {
        votes: async () => ({
          columns: ['poll and node', 'choice'],
          rows: (await votes('')).map(({ key, value }) => [key.slice(VOTES.length), String(value)]),
        }),
      },
      reload(next) {
        choices = next.choices
        return 'applied'
      },
    }
  },
})

const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const secret = makeSecret()
const start = (name: string, others: readonly string[] = []) =>
  createMesh({
    ...{ name, secret, parts: [poll], partOptions: { 'acme/poll': { choices: ['tea', 'coffee'] } } },
    ...{ dataDir: join(folder, name), coordination: { expect: 3 }, join: [...others] },
    ...(name === 'one' && { control: true, debug: {} }),
  })
const one = await start('one')
const [two, three] = await Promise.all([start('two', one.self.addresses), start('three', one.self.addresses)])
const guest = await createMesh({ name: 'guest', secret, join: [...two.self.addresses, ...three.self.addresses] })
await guest.joined({ timeoutMs: 20_000 })

/** The journal takes its commands once every voter has the part. */
const firstVote = async (): Promise<number> => {
  for (const endsAt = Date.now() + 30_000; ; await setTimeout(200)) {
    try {
      return await (await one.part(poll)).vote('drink', 'tea')
    } catch (error) {
      if (!isParleyError(error, 'STA003') || error.details.reason !== 'level' || Date.now() > endsAt) throw error
    }
  }
}
await firstVote()
await (await two.part(poll)).vote('drink', 'coffee')
const again = await (await one.part(poll)).vote('drink', 'coffee').catch((error: unknown) => error)

// Nobody voted on the third node: its part sleeps until somebody asks it.
const asleep = three.readiness().ready
const results = await guest.to(three.self.id, pollProtocol).results({ poll: 'drink' })
await three.reload({ partOptions: { 'acme/poll': { choices: ['soup', 'salad'] } } })
await (await three.part(poll)).vote('lunch', 'soup')

// The same figure and view for a person: on the debug page, in the metrics, and by the command line.
const shown = await fetch(`${one.debugUrl}/api/parts/view?part=acme/poll&view=votes`)
const page = (await shown.json()) as { rows: string[][] }
const metrics = await (await fetch(`${one.debugUrl}/metrics`)).text()
const bin = fileURLToPath(new URL('../node/cli/bin.js', import.meta.url))
const command = [bin, 'parts', 'acme/poll', '--data-dir', join(folder, 'one')]
const { stdout } = await promisify(execFile)(process.execPath, command)
process.stdout.write(stdout)

await Promise.all([guest, one, two, three].map((mesh) => mesh.stop()))
await rm(folder, { recursive: true, force: true })
assert.ok(isParleyError(again, 'STA003') && again.details.reason === 'exists')
assert.ok(asleep)
assert.deepEqual(results, { tea: 1, coffee: 1 })
assert.deepEqual(page.rows.map(([, choice]: string[]) => choice).sort(), ['coffee', 'soup', 'tea'])
assert.match(metrics, /^acme_poll_votes_total 1$/m)
assert.match(stdout, /votes_total 1/)
