/** What `parley doctor` says of the configuration and of the secret; the secret itself is never shown. Keeps no state. */
import { classifySecret, isStrongEnough, SECRET_ADVICE, secretWarning } from '../../trust/secret.ts'
import { certificateFinding } from './certificate-check.ts'
import { type DoctorCheck, failOf, ok, skipped, warn } from './check-finding.ts'

const configuration: DoctorCheck = {
  name: 'configuration',
  run({ configProblem, file, notices, given }) {
    const { name } = configuration
    if (configProblem !== undefined) return [failOf(name, configProblem)]
    const where = file === undefined ? 'no file; ' : `${file}; `
    const keys = given.size === 0 ? 'all at their defaults' : `set: ${[...given].sort().join(', ')}`
    const found = ok(name, where + keys)
    const [first, ...more] = notices
    if (first === undefined) return [found]
    return [warn(name, [first, ...more].join('; '), 'parley config show says where each value comes from')]
  },
}

const secret: DoctorCheck = {
  name: 'secret',
  run({ secretProblem, secrets, configProblem, options }) {
    const { name } = secret
    if (secretProblem !== undefined) return [failOf(name, secretProblem)]
    if (configProblem !== undefined) return [skipped(name, 'the configuration cannot be used')]
    if (secrets.length === 0)
      return [ok(name, 'none: the mesh stays on this machine, and all its processes are members')]
    const many = secrets.length > 1 ? `${secrets.length} secrets are accepted` : 'one secret'
    if (new Set(secrets).size < secrets.length)
      return [warn(name, 'the old and the new secret are the same', 'name two different ones, or one')]
    if (secrets.every((text) => classifySecret(text) === 'strong')) return [ok(name, `${many}, strong`)]
    const former = secretWarning(secrets)
    if (former !== undefined && secrets.every(isStrongEnough)) return [warn(name, `${many}; ${former}`, SECRET_ADVICE)]
    const which = secrets.length > 1 ? `${many}, of which not all are strong` : `${many}, which is weak`
    const seen = options.allowWeakSecret
      ? `${which}; allow_weak_secret accepts it`
      : `${which}; it is only accepted because nothing leaves this machine`
    return [warn(name, seen, 'make one with `parley secret` and give it to all nodes')]
  },
}

export const SETTING_CHECKS: readonly DoctorCheck[] = [configuration, secret, certificateFinding]
