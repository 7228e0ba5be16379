/**
 * `parley doctor`: looks at everything that a node needs, and says what is wrong and what to do. It changes nothing and
 * shows no secret. Exit code 1 where something fails; a warning is none. All of it takes 15 s at most.
 */
import { escapeText } from '../../observe/log/log-fields.ts'
import { EXIT } from '../output/exit-codes.ts'
import { type CheckVerdict, type DoctorCheck, runCheck, type TimedFinding } from './check-finding.ts'
import { type DoctorOptions, type DoctorSubject, subjectsOf } from './doctor-subject.ts'

/** Of one check. The visits take longest: a dial, admission, and the comparison of directories. */
const CHECK_MS = 5_000
const VISIT_MS = 10_000
/** Of all of them. */
const ALL_MS = 15_000
const LEAST_MS = 1_000

const STORES: DoctorCheck = {
  name: 'stores',
  async run(subject, signal) {
    const { checkStores } = await import('./store-check.ts')
    return checkStores(subject, signal)
  },
}

/** Those that ask others come second: they load libp2p, which would hold up the rest. */
const checksOf = async (
  subject: DoctorSubject,
  isFirst: boolean,
): Promise<{ own: DoctorCheck[]; ofOthers: DoctorCheck[] }> => {
  const [{ PROCESS_CHECKS }, { SETTING_CHECKS }, { DISK_CHECKS }, { ADDRESS_CHECKS }] = await Promise.all([
    import('./process-checks.ts'),
    import('./setting-checks.ts'),
    import('./disk-checks.ts'),
    import('./port-checks.ts'),
  ])
  const [{ CLOCK_CHECKS }, { NODE_CHECKS }, { joinChecks }] = await Promise.all([
    import('./clock-check.ts'),
    import('./node-check.ts'),
    import('./join-checks.ts'),
  ])
  const ofNode = [...SETTING_CHECKS, ...DISK_CHECKS, STORES, ...ADDRESS_CHECKS, ...CLOCK_CHECKS]
  return {
    // The machine is the same for all of them.
    own: isFirst ? [...PROCESS_CHECKS, ...ofNode] : ofNode,
    ofOthers: [...NODE_CHECKS, ...joinChecks(subject)],
  }
}

const MARKS: Record<CheckVerdict, string> = { ok: 'ok     ', warn: 'warn   ', fail: 'FAIL   ', skipped: 'skipped' }
const COLOURS: Record<CheckVerdict, string> = { ok: '32', warn: '33', fail: '31', skipped: '90' }

const line = ({ name, verdict, seen, todo }: TimedFinding, width: number, isColoured: boolean): string => {
  const mark = isColoured ? `\u001b[${COLOURS[verdict]}m${MARKS[verdict]}\u001b[0m` : MARKS[verdict]
  const hint = todo === undefined ? '' : `\n${' '.repeat(8)}${''.padEnd(width)}  hint: ${escapeText(todo)}`
  return `${mark} ${name.padEnd(width)}  ${escapeText(seen)}${hint}`
}

const count = (found: readonly TimedFinding[], verdict: CheckVerdict): number =>
  found.filter((one) => one.verdict === verdict).length

const MAX_NAMES = 12

/** That all is well is said only where all of it was looked at. */
export const summary = (found: readonly TimedFinding[]): string => {
  const [failed, warned] = [count(found, 'fail'), count(found, 'warn')]
  const left = [...new Set(found.flatMap(({ name, verdict }) => (verdict === 'skipped' ? [name] : [])))]
  const names = left.length > MAX_NAMES ? [...left.slice(0, MAX_NAMES), 'and more'] : left
  const rest = left.length === 0 ? '' : `\nnot checked, for the reasons above: ${names.join(', ')}`
  if (failed + warned > 0) return `${failed} failed, ${warned} to be looked at, ${count(found, 'ok')} well${rest}`
  return `${left.length === 0 ? 'all is well' : 'nothing is wrong in what was checked'}: ${count(found, 'ok')} checks${rest}`
}

const overall = (found: readonly TimedFinding[]): CheckVerdict =>
  count(found, 'fail') > 0 ? 'fail' : count(found, 'warn') > 0 ? 'warn' : 'ok'

/** Of one node; `node` names it where there are several. */
interface Examined {
  readonly node: string | undefined
  readonly found: readonly TimedFinding[]
}

const text = ({ node, found }: Examined, width: number, isColoured: boolean): string =>
  [
    ...(node === undefined ? [] : [`node ${escapeText(node)}`]),
    ...found.map((one) => line(one, width, isColoured)),
  ].join('\n')

export const doctor = async (options: DoctorOptions): Promise<void> => {
  const startedAt = performance.now()
  const subjects = await subjectsOf(options)
  const leftMs = (): number => Math.max(LEAST_MS, ALL_MS - (performance.now() - startedAt))
  const examine = async (subject: DoctorSubject, at: number): Promise<Examined> => {
    const { own, ofOthers } = await checksOf(subject, at === 0)
    const all = async (checks: readonly DoctorCheck[], limitMs: number): Promise<TimedFinding[]> =>
      (await Promise.all(checks.map((check) => runCheck(check, subject, Math.min(limitMs, leftMs()))))).flat()
    const found = [...(await all(own, CHECK_MS)), ...(await all(ofOthers, VISIT_MS))]
    return { node: subjects.length === 1 ? undefined : subject.node?.name, found }
  }
  const examined = await Promise.all(subjects.map(examine))
  const found = examined.flatMap((one) => one.found)
  if (options.json === true) {
    const tookMs = Math.round(performance.now() - startedAt)
    const checks = examined.flatMap(({ node, found: its }) =>
      its.map((one) => (node === undefined ? one : { node, ...one })),
    )
    process.stdout.write(`${JSON.stringify({ verdict: overall(found), tookMs, checks })}\n`)
  } else {
    const width = Math.max(...found.map(({ name }) => name.length))
    const texts = examined.map((one) => text(one, width, process.stdout.isTTY === true))
    process.stdout.write(`${texts.join('\n\n')}\n\n${summary(found)}\n`)
  }
  if (overall(found) === 'fail') process.exitCode = EXIT.failure
}
