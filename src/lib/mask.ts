/**
 * Hides user and password of every address in a text: `tcp://ci:secret@host` → `tcp://***@host`, without a scheme too:
 * `ci:secret@host` → `***@host`. Rather too much than too little; but `@sha256:` of an image is no host.
 */
export const maskCredentials = (text: string): string =>
  text
    .replace(/(:\/\/)[^\s,"']*@/g, '$1***@')
    .replace(/(^|[\s,"'=])([^\s,"'@]*:[^\s,"']*)@(?!sha256:)/g, (found, before: string, credentials: string) =>
      credentials.includes('://') ? found : `${before}***@`,
    )
