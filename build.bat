@echo off
rem build.bat: builds fastserve.exe on Windows, with cl, else clang-cl, else gcc.
rem
rem   build.bat              fastserve.exe, optimised
rem   build.bat debug        the same with debug information and without optimisation
rem   build.bat test [NAME]  builds and runs the tests: tests\test_*NAME*.c
rem   build.bat clean        removes what was built
rem
rem CC=gcc (or cl, or clang-cl) says which compiler to take. Exit status: 0 good, 1 something failed, 2 wrong usage.
setlocal
cd /d "%~dp0"
set "what=%~1"
set "part=%~2"
if "%what%"=="" set "what=release"
if "%what%"=="clean" goto clean
if "%what%"=="release" goto find
if "%what%"=="debug" goto find
if "%what%"=="test" goto find
echo build.bat: %what%: no such target; there are release, debug, test [NAME] and clean
exit /b 2

:find
set "kind="
set "compiler="
if defined CC goto asked
call :in_path cl
if defined found goto msvc
call :studio
call :in_path cl
if defined found goto msvc
call :in_path clang-cl
if defined found goto msvc
call :in_path gcc
if defined found goto gnu
echo build.bat: no C compiler found. Any of these will do:
echo   cl        "Build Tools for Visual Studio", with "Desktop development with C++":
echo             https://visualstudio.microsoft.com/downloads/
echo   clang-cl  LLVM, beside the above: winget install LLVM.LLVM
echo   gcc       mingw-w64: winget install BrechtSanders.WinLibs.POSIX.UCRT
echo Then open a new command prompt and run build.bat again.
exit /b 1

rem What CC names: a gcc by any name is one that is not cl and not clang-cl.
:asked
set "compiler=%CC%"
set "kind=gnu"
if /i "%CC%"=="gcc" goto found
if /i "%CC%"=="clang-cl" set "kind=msvc"
if /i "%CC%"=="cl" set "kind=msvc"
if /i not "%CC%"=="cl" goto found
call :in_path cl
if not defined found call :studio
goto found

:msvc
set "kind=msvc"
goto found
:gnu
set "kind=gnu"

:found
echo build.bat: with %compiler%
if not exist build mkdir build
if not exist build goto failed
if "%kind%"=="msvc" goto msvc_flags
set "fast=-O2"
set "plain=-O0"
if "%what%"=="debug" set "fast=-g -O0"
goto program
:msvc_flags
set "fast=/O2"
set "plain=/Od"
if "%what%"=="debug" set "fast=/Od /Zi"

:program
call :compile main.c fastserve.exe "%fast%"
if errorlevel 1 goto failed
echo build.bat: fastserve.exe is built
if "%what%"=="test" goto tests
exit /b 0

:failed
echo build.bat: failed
exit /b 1

:clean
if exist build rmdir /s /q build
if exist fastserve.exe del /q fastserve.exe
if exist build exit /b 1
if exist fastserve.exe exit /b 1
exit /b 0

rem Every test program counts its cases in its last line, "NAME: N passed, N failed, N skipped".
:tests
set passed=0
set failed=0
set skipped=0
set "FASTSERVE=%CD%\fastserve.exe"
for %%t in (tests\test_*%part%*.c) do call :test %%~nt
if "%passed%%failed%"=="00" goto none
echo %passed% passed, %failed% failed, %skipped% skipped
if not "%failed%"=="0" exit /b 1
exit /b 0
:none
echo build.bat: no test ran
exit /b 1

rem test NAME: builds tests\NAME.c and runs it; adds to passed, failed and skipped. The models only compute.
:test
set "how=%plain%"
if "%1"=="test_queue_model" set "how=%fast%"
if "%1"=="test_wake_model" set "how=%fast%"
call :compile tests\%1.c build\%1.exe "%how%"
if errorlevel 1 goto test_unbuilt
set "sum="
build\%1.exe >build\%1.log 2>&1
set "status=%errorlevel%"
for /f "tokens=1-7 delims=:, " %%a in (build\%1.log) do if "%%c"=="passed" if "%%e"=="failed" call :sum %%b %%d %%f
if not defined sum goto test_unended
if "%status%"=="0" echo %1: %sum%
if not "%status%"=="0" type build\%1.log
set /a passed=passed+sum_passed
set /a failed=failed+sum_failed
set /a skipped=skipped+sum_skipped
if not "%status%"=="0" if "%sum_failed%"=="0" goto test_status
exit /b 0
:test_unbuilt
echo %1: does not build
set /a failed=failed+1
exit /b 0
:test_unended
type build\%1.log
echo %1: ended with status %status% before it could count its cases
set /a failed=failed+1
exit /b 0
:test_status
echo %1: ended with status %status% although no case failed
set /a failed=failed+1
exit /b 0

:sum
set sum_passed=%1
set sum_failed=%2
set sum_skipped=%3
set "sum=%1 passed, %2 failed, %3 skipped"
exit /b 0

rem compile SOURCE PROGRAM "OPTIMISATION": sets errorlevel. The C run time is linked statically, so that the program needs
rem the system's own libraries alone.
:compile
if exist %2 del /q %2
if "%kind%"=="msvc" goto compile_msvc
%compiler% -std=c11 -Wall -Wextra %~3 %1 -o %2 -static -lws2_32
goto compiled
:compile_msvc
%compiler% /nologo /std:c11 /utf-8 /W4 /MT /D_CRT_SECURE_NO_WARNINGS %~3 %1 /Fe:%2 /Fo:build\ /Fd:build\ /link ws2_32.lib
:compiled
if errorlevel 1 exit /b 1
if not exist %2 exit /b 1
exit /b 0

rem in_path NAME: sets found to where NAME.exe stands in PATH, or to nothing, and then compiler to NAME.
:in_path
set "found="
for %%f in (%1.exe) do set "found=%%~$PATH:f"
if defined found set "compiler=%1"
exit /b 0

rem studio: where Visual Studio is installed, but not in PATH, it has a script that puts it there.
:studio
set "vswhere=%ProgramFiles(x86)%\Microsoft Visual Studio\Installer\vswhere.exe"
if not exist "%vswhere%" exit /b 0
set "studio="
for /f "usebackq delims=" %%d in (`"%vswhere%" -latest -products * -property installationPath`) do set "studio=%%d"
if not defined studio exit /b 0
set "cpu=x64"
if /i "%PROCESSOR_ARCHITECTURE%"=="ARM64" set "cpu=arm64"
if /i "%PROCESSOR_ARCHITECTURE%"=="x86" if not defined PROCESSOR_ARCHITEW6432 set "cpu=x86"
if exist "%studio%\VC\Auxiliary\Build\vcvarsall.bat" call "%studio%\VC\Auxiliary\Build\vcvarsall.bat" %cpu% >nul
exit /b 0
