-- peer: Haskell conduit
-- log: 4
-- does: echo
-- needs: ghc /usr/lib/haskell-packages/ghc/lib/*/conduit-extra-*
-- install: apt-get install ghc libghc-conduit-extra-dev
-- version: dpkg-query -W libghc-conduit-extra-dev
-- build: ghc -O2 -threaded -rtsopts -with-rtsopts=-N -outputdir {dir} -o {out} {file}
-- run: {out} {port}
-- when: by hand
-- note: a green thread per connection
{-# LANGUAGE OverloadedStrings #-}
module Main (main) where

import Data.Conduit
import Data.Conduit.Network
import System.Environment (getArgs)

main :: IO ()
main = do
    [port] <- getArgs
    runTCPServer (serverSettings (read port) "127.0.0.1") $ \client ->
        runConduit $ appSource client .| appSink client
