/** Passphrases of people that pass for secrets of machines. Issue 16, A8. Nobody listens beyond loopback: a node announces. */
import { readFile, rm } from 'node:fs/promises'
import type { Attack } from '../attack.ts'
import { forkMember } from '../members/member.ts'
import { openTown } from '../members/town.ts'

/** What a person would make up: long, in letters of both cases, without a space. */
const PASSPHRASES = [
  'CorrectHorseBatteryStapleIsOurFavouritePassphrase',
  'It_was_the_best_of_times-It_was_the_worst_of_times-1859',
  'ItWasTheBestOfTimesItWasTheWorstOfTimesAge1',
  'MyVoiceIsMyPassportVerifyMeMyVoiceIsMyPasswd',
  'deadbeefcafebabe0123456789deadbeefcafebabe9876543210deadbeefcafe42',
]
/** Of the documentation (RFC 5737): it is never dialled. */
const ANNOUNCED = '/ip4/192.0.2.1/tcp/4001'
const START_MS = 10_000

export const passphrase: Attack = {
  name: 'passphrase',
  line: 'A8',
  by: 'operator',
  about:
    'a node that is reachable from beyond this machine is started with a passphrase in place of a generated secret',
  async play() {
    const town = await openTown()
    const reached: string[] = []
    let refused = 0
    let warned = 0
    try {
      for (const secret of PASSPHRASES) {
        const child = forkMember()
        const { options, logFile } = town.optionsOf('trusting', { secret, announce: [ANNOUNCED], join: [] })
        const started = await child.ask('start', { options, logFile, withinMs: START_MS })
        await child.kill()
        // Secrets of the former form are told of for one minor version more: a node that starts with one warns.
        if ('refused' in started) refused += 1
        else if (/"level":"warn".*passphrase/.test(await readFile(logFile, 'utf8').catch(() => ''))) warned += 1
        else reached.push(`${JSON.stringify(secret)} was taken for a generated secret`)
        await rm(logFile, { force: true })
      }
    } finally {
      await town.end()
    }
    return {
      tried: { passphrases: PASSPHRASES.length },
      refused: { 'nodes not started': refused, 'nodes that warned': warned },
      reached,
    }
  },
}
